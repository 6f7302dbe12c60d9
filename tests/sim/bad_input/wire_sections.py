"""The tables below a body, in the order of docs/bad-input.md."""

from dataclasses import dataclass

from tests.sim.bad_input import coap_table, cose_table, oscore_table, signed_table, stream_table
from tests.sim.bad_input.coap_house import CoapHouse
from tests.sim.bad_input.cose_house import CoseEmdHouse, CoseHouse


@dataclass
class Section:
    """name: of the tests; title, note: of the page; house: what the rows come to."""

    name: str
    title: str
    rows: tuple
    house: object = CoapHouse
    note: str = ""


SECTIONS = (
    Section("form", "CoAP to the device: what is no message", coap_table.FORM),
    Section("strangers", "CoAP to the device: who is not proven", coap_table.STRANGERS),
    Section("requests", "CoAP to the device: requests of its EMD", coap_table.REQUESTS),
    Section("stream", "CoAP over TCP to the device", stream_table.STREAM),
    Section("serial", "CoAP over a serial line to the device", stream_table.SERIAL),
    Section("keys", "OSCORE to the device: keys", oscore_table.KEYS),
    Section("numbers", "OSCORE to the device: numbers, replays, restarts", oscore_table.NUMBERS),
    Section("inside", "OSCORE to the device: what is inside, and outside", oscore_table.INSIDE),
    Section("cose", "COSE to the device", cose_table.DEVICE, CoseHouse),
    Section("cose emd", "COSE to the EMD", cose_table.TO_EMD, CoseEmdHouse),
    Section("signed", "Signed broadcasts to the device", signed_table.ROWS, signed_table.SignedHouse),
)
