"""What protection costs on the MicroPython unix port: time, heap, octets; beside AES-CCM block by block in Python."""

from tests.bench import unix_port


def run(emit):
    """Emit ccm.…, oscore.… and cose.…; the best of three processes, since other work disturbs."""
    best = unix_port.best("oscore_on_device.py")
    emit("ccm.seal.us", best["seal_us"], "µs", naive=best["naive_us"])
    emit("ccm.open.us", best["open_us"], "µs", naive=best["naive_us"])
    emit("ccm.seal.heap_bytes", best["seal_heap"], "B", naive=best["naive_heap"])
    emit("ccm.open.heap_bytes", best["open_heap"], "B", naive=best["naive_heap"])
    emit("oscore.protect.us", best["protect_us"], "µs")
    emit("oscore.unprotect.us", best["unprotect_us"], "µs")
    emit("oscore.protect.heap_bytes", best["protect_heap"], "B")
    emit("oscore.unprotect.heap_bytes", best["unprotect_heap"], "B")
    emit("oscore.overhead.bytes", best["rotated_bytes"], "B", not_rotated=best["request_bytes"])
    emit("oscore.overhead_response.bytes", best["response_bytes"], "B")
    emit("cose.overhead.bytes", best["cose_bytes"], "B", mac0=best["mac_bytes"])
