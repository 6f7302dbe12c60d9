"""New keys are taken only where the present ones protect the way down: elsewhere anyone between could send some."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from spot.log import Log
from spot.store import Store
from tests.unit.agent.agent_rig import MemFs

ROOT = Path(__file__).resolve().parents[3]
PAIRING = {"secret": "00" * 16, "salt": "11" * 8, "id": "01", "emd": "00", "generation": 0}


@pytest.fixture
def main(monkeypatch):
    spec = importlib.util.spec_from_file_location("firmware_main", ROOT / "firmware" / "main.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "_LINKS", {"mqtt": lambda *_: None, "coap": lambda *_: None})
    return module


@pytest.mark.parametrize(("link", "taken"), [
    ({"mqtt": {}}, False),
    ({"mqtt": {"pairing": True}}, False),
    ({"mqtt": {"pairing": True, "protect": "none"}}, False),
    ({"mqtt": {"pairing": True, "protect": "up"}}, False),
    ({"mqtt": {"pairing": True, "protect": "down"}}, True),
    ({"mqtt": {"pairing": True, "protect": "both"}}, True),
    ({"coap": {"uri": "coap://emd", "pairing": True}}, True),
    ({"coap": {"uri": "coap://emd", "insecure": True}}, False),
], ids=["mqtt", "mqtt, pairing", "none", "up", "down", "both", "oscore", "insecure"])
def test_who_takes_new_keys(main, tmp_path, link, taken):
    (tmp_path / "pairing.json").write_text(json.dumps(PAIRING))
    for section in link.values():
        if section.get("pairing"):
            section["pairing"] = str(tmp_path / "pairing.json")
    log = Log(16)
    seat = SimpleNamespace(keys=None, signed=None)
    app = SimpleNamespace(store=Store(MemFs(), "s", log), agent=SimpleNamespace(seats=[seat]),
                          ring=None)
    main.build_links(link, {}, app, None, log)
    assert (seat.keys is not None) is taken
