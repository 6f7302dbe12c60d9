"""The same table of rules on MicroPython."""

from pathlib import Path

_TABLES = Path(__file__).resolve().parents[2] / "unit" / "agent"

_RUN = """
import sys
sys.path.insert(0, %r)
import agent_cases
failed = agent_cases.run()
for sentence, error in failed:
    print(sentence, error)
print(len(agent_cases.CASES) - len(failed), "of", len(agent_cases.CASES))
sys.exit(1 if failed else 0)
"""


def test_rules(mpy):
    number = _cases()
    assert mpy(_RUN % str(_TABLES), timeout=120).split() == [str(number), "of", str(number)]


def _cases():
    """How many cases the table has, read as text: the module itself is loaded by the other runtime."""
    text = (_TABLES / "agent_cases.py").read_text()
    return text[text.index("\nCASES = (") :].count('\n    ("')
