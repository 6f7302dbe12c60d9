"""The codec's times and heap on the MicroPython unix port, beside the built-in C json."""

from tests.bench import unix_port


def run(emit):
    """Emit codec.….us and codec.….heap_bytes; the best of three processes, since other work disturbs."""
    best = unix_port.best("codec_on_device.py")
    emit("codec.telemetry_encode.us", best["telemetry_encode_us"], "µs", json=best["json_dumps_us"])
    emit("codec.command_decode.us", best["command_decode_us"], "µs", json=best["json_loads_us"])
    emit("codec.telemetry_encode.heap_bytes", best["telemetry_encode_heap"], "B", json=best["json_dumps_heap"])
    emit("codec.command_decode.heap_bytes", best["command_decode_heap"], "B", json=best["json_loads_heap"])
