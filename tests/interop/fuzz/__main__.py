"""`python -m tests.interop.fuzz TARGET [SECONDS]`: fuzz one target, under atheris; exit code 0 when nothing was found.

What is found is printed as a row for found.json. Without end with SECONDS 0.
"""

import sys
import tempfile
from pathlib import Path

import atheris


def main(name, seconds="5"):
    with atheris.instrument_imports(include=["spot"]):
        from tests.interop.fuzz import targets
    target = targets.TARGETS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(targets.SEEDS[name]):
            (Path(corpus) / f"seed{number}").write_bytes(seed)
        for number, (of, _, data) in enumerate(targets.found()):
            if of == name:
                (Path(corpus) / f"found{number}").write_bytes(data)

        def one(data):
            try:
                target(data)
            except BaseException:
                print(f'{{"target": "{name}", "what": "…", "hex": "{data.hex()}"}}', file=sys.stderr, flush=True)
                raise

        options = {"max_total_time": seconds, "max_len": 1300, "timeout": 5, "rss_limit_mb": 1024,
                   "print_final_stats": 1, "artifact_prefix": f"{corpus}/crash-"}
        atheris.Setup(["fuzz", corpus, *(f"-{key}={value}" for key, value in options.items())], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
