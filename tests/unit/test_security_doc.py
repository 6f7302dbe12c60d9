"""docs/security.md: the tables name every provision once, with a known status, and what they point to exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
STATUS = {"met", "partly", "not yet", "maker", "n/a"}
# How many provisions each clause of EN 303 645 has.
ETSI = {"5.1": 5, "5.2": 3, "5.3": 16, "5.4": 4, "5.5": 8, "5.6": 9, "5.7": 2, "5.8": 3, "5.9": 3, "5.10": 1, "5.11": 4,
        "5.12": 3, "5.13": 1, "6": 5}
GROUPS = ("ACM", "AUM", "SUM", "SSM", "SCM", "RLM", "NMM", "TCM", "CCK", "GEC", "CRY")


def rows(title):
    """[cells] of the table below a heading."""
    part = PAGE.split(f"## {title}\n", 1)[1].split("\n## ")[0]
    found = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in part.splitlines()
             if line.startswith("|")]
    return found[2:]


PROVISIONS, MECHANISMS = rows("8. ETSI EN 303 645"), rows("9. EN 18031-1")


def paths(text):
    """Everything in `text` that looks like a path of this repository."""
    found = re.findall(r"`([\w./-]+/[\w./-]+)`", text) + re.findall(r"(?<![\w/`])docs/[\w/-]+\.\w+", text)
    return [path for path in found if not path.startswith("/")]


def test_every_provision_is_there_once_and_in_order():
    assert [row[0] for row in PROVISIONS] == [f"{clause}-{n}" for clause, most in ETSI.items()
                                              for n in range(1, most + 1)]


def test_every_mechanism_is_there():
    names = [name for row in MECHANISMS for name in row[0].split(", ")]
    assert len(names) == len(set(names))
    assert {name.split("-")[0] for name in names} == set(GROUPS)


@pytest.mark.parametrize("row", PROVISIONS + MECHANISMS, ids=lambda row: row[0])
def test_a_row_is_whole(row):
    """Four cells and a known status; what is met names what shows it, or where that stands."""
    assert len(row) == 4 and all(row[:3])
    assert row[2] in STATUS
    if row[2] in ("met", "partly"):
        assert paths(row[3]) or re.search(r"^as (above|\d)|section \d|its type", row[3]), row
    if row[2] in ("not yet", "partly", "n/a"):
        assert row[3]
    assert not row[3] or row[2] != "met" or "issue 5" not in row[3]


@pytest.mark.parametrize("path", sorted(set(paths(PAGE))))
def test_what_is_named_exists(path):
    assert (ROOT / path).exists() or path in ("pki/ca.key",), path  # the latter is in a home, not here


def test_enough_of_it_is_tested():
    """Tests, and not only documents, stand behind most of what is said to be met."""
    met = [row for row in PROVISIONS + MECHANISMS if row[2] == "met"]
    tested = [row for row in met if any(path.startswith("tests/") for path in paths(row[3]))]
    assert len(tested) > len(met) // 2


def test_the_figures_are_those_of_the_code():
    from spot.agent import signed
    from spot.codes import SIGNED_OCTETS, SIGNED_PARTS
    from spot.wire import lms

    assert f"one buffer of {SIGNED_PARTS * SIGNED_OCTETS:,} octets" in PAGE
    assert f"{signed.PER_HOUR} verifications an hour" in PAGE
    assert f"{signed.SLICE} hashes a turn" in PAGE
    for tree, count in ((5, "32 signatures"), (6, "1,024"), (7, "32,768")):
        size = lms.signature_octets(bytes([0, 0, 0, tree, 0, 0, 0, 3]) + bytes(48))
        assert re.search(rf"{size:,} \({re.escape(count)}\)", PAGE)
