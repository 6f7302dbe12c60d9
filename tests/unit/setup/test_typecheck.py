"""What `make lint` asks of the firmware against MicroPython's stubs: it finds what is not there, on the port where."""

import pytest

from spot_host.toolchain import typecheck

_DRIVER = """
class Relay:
    def __init__(self, hardware, number):
        self._pin = hardware.Pin(number, hardware.Pin.OUT)

    def set(self, closed):
        self._pin.%s
"""


def _findings(tmp_path, texts):
    for name, text in {"main.py": "", "spot/__init__.py": "", "spot/board/__init__.py": "", **texts}.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return typecheck.check(tmp_path)[0]


@pytest.mark.parametrize(("call", "said"), [
    ("value(closed)", None),
    ("level(closed)", '"Pin" has no attribute "level"'),
    ("value(1, 2, 3)", "value"),
])
def test_a_driver_is_held_against_machine(tmp_path, call, said):
    findings = _findings(tmp_path, {"spot/board/relay.py": _DRIVER % call})
    assert len(findings) == (said is not None), findings
    if said:
        assert findings[0].startswith("firmware/spot/board/relay.py:7: ") and findings[0].endswith(" (esp32, rp2)")
        assert said in findings[0]


def test_what_one_port_lacks_is_said_of_that_port(tmp_path):
    findings = _findings(tmp_path, {"spot/here.py": "import esp32\n\n\ndef f():\n    return esp32.NVS('a')\n"})
    assert len(findings) == 1 and findings[0].endswith("(rp2)") and '"esp32"' in findings[0]
