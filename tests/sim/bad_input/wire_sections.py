"""The tables below a body, in the order of docs/bad-input.md."""

from dataclasses import dataclass

from tests.sim.bad_input import coap_table, cose_table, emd_table, oscore_table, signed_table, stream_table
from tests.sim.bad_input.coap_house import CoapHouse
from tests.sim.bad_input.cose_house import CoseEmdHouse, CoseHouse
from tests.sim.bad_input.emd_house import EmdHouse


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
    Section("requests", "CoAP to the device: requests of its EMD", coap_table.REQUESTS,
            note="From an EMD that the transport has proven: rows show what is inside. Under OSCORE it is the same."),
    Section("stream", "CoAP over TCP to the device", stream_table.STREAM),
    Section("certificates", "CoAP over TLS to the device", stream_table.CERTIFICATES,
            note="What is wrong with a certificate. DTLS says the same (`tests/unix/link/test_coap_dtls.py`)."),
    Section("serial", "CoAP over a serial line to the device", stream_table.SERIAL),
    Section("keys", "OSCORE to the device: keys", oscore_table.KEYS),
    Section("numbers", "OSCORE to the device: numbers, replays, restarts", oscore_table.NUMBERS),
    Section("inside", "OSCORE to the device: what is inside, and outside", oscore_table.INSIDE),
    Section("cose", "COSE to the device", cose_table.DEVICE, CoseHouse,
            "What does not open is counted and not answered: whoever sent it learns nothing."),
    Section("cose emd", "COSE to the EMD", cose_table.TO_EMD, CoseEmdHouse),
    Section("emd form", "CoAP to the EMD: what is no message", emd_table.FORM, EmdHouse,
            "The log is that of the EMD: a cause is told once in ten minutes, with its count."),
    Section("emd strangers", "CoAP to the EMD: who is not proven", emd_table.STRANGERS, EmdHouse),
    Section("emd requests", "CoAP to the EMD: requests of a device", emd_table.REQUESTS, EmdHouse),
    Section("emd keys", "OSCORE to the EMD", emd_table.KEYS, EmdHouse),
    Section("emd streams", "CoAP over TCP and TLS to the EMD", emd_table.STREAMS, EmdHouse),
    Section("signed", "Signed broadcasts to the device", signed_table.ROWS, signed_table.SignedHouse),
)
