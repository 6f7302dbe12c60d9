"""A CoAP request's times and heap on the MicroPython unix port, beside a naive codec there and aiocoap on CPython."""

import time

import aiocoap

from tests.bench import unix_port

_ROUNDS = 2000


def _aiocoap():
    """(build, parse) of the same request by aiocoap, microseconds on CPython."""
    body = bytes(range(33))

    def build():
        message = aiocoap.Message(code=aiocoap.POST, uri_path=["telemetry"], payload=body, _mtype=aiocoap.NON,
                                  _mid=0x1234, _token=b"tokn")
        message.opt.no_response = 26
        return message.encode()

    octets = build()
    times = []
    for call, args in ((build, ()), (aiocoap.Message.decode, (octets,))):
        best = None
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(_ROUNDS):
                call(*args)
            spent = time.perf_counter() - start
            best = spent if best is None else min(best, spent)
        times.append(best / _ROUNDS * 1e6)
    return times


def run(emit):
    """Emit coap.….us and coap.….heap_bytes; the best of three processes, since other work disturbs."""
    best = unix_port.best("coap_on_device.py")
    build, parse = _aiocoap()
    emit("coap.build.us", best["build_us"], "µs", naive=best["naive_build_us"], aiocoap=build)
    emit("coap.parse.us", best["parse_us"], "µs", naive=best["naive_parse_us"], aiocoap=parse)
    emit("coap.build.heap_bytes", best["build_heap"], "B", naive=best["naive_build_heap"])
    emit("coap.parse.heap_bytes", best["parse_heap"], "B", naive=best["naive_parse_heap"])
