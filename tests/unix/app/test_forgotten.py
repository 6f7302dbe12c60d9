"""What checks files is loaded for a configuration that has not passed yet, on MicroPython, and gone when it has."""

import json
import shutil
from pathlib import Path

BOARDS = Path(__file__).parents[3] / "boards"
CODE = """
import gc, sys
import main
from spot.port import forget

def loaded():
    return [name for name in ("spot.config_check", "spot.board_check") if name in sys.modules]

path, boards = sys.argv[1:3]
main.checked(path, None, boards)
print(loaded())
gc.collect()
before = gc.mem_alloc()
forget("config_check")
forget("config_check")
forget("board_check")
gc.collect()
print(loaded(), before - gc.mem_alloc() > 6000, hasattr(sys.modules["spot"], "config_check"))
config, description = main.checked(path, None, boards)
print(loaded(), config["board"], description["name"])
with open(path, "a") as file:
    file.write(" ")
main.checked(path, None, boards)
print(loaded())
"""


def test_the_checks_are_loaded_once_for_a_configuration(mpy, tmp_path):
    shutil.copytree(BOARDS / "sim", tmp_path / "rom" / "boards" / "sim")
    (tmp_path / "rom" / "release.json").write_text('{"sequence": 3}')
    config = {"eui64": "0" * 16, "store": "store", "board": "sim",
              "coap": {"uri": "coap://emd.local", "insecure": True}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    out = mpy(CODE, tmp_path / "config.json", tmp_path / "rom" / "boards").splitlines()
    assert out == ["['spot.config_check']", "[] True True", "[] sim sim", "['spot.config_check']"]
