"""What must hold in every step of every history: name → one sentence. docs/invariants.md says how each is measured."""

INVARIANTS = {
    "interval_once": "Every interval reading arrives exactly once in the EMD's store, and what is missing is named by "
    "a gap record or by the quality of the one behind it.",
    "event_once": "Every status, alarm and answer arrives exactly once in the EMD's store.",
    "energy_sum": "The intervals add up to what the load has used, but for what a power cut may cost.",
    "command_once": "No command runs again after its end was reported.",
    "command_window": "No command runs before its start, after its end, or without having been issued.",
    "limit_holds": "A limit that is in effect by the device's own report holds to its end, also over restarts.",
    "min_on": "The relay is not opened sooner after it closed than the load bears, but by a trip or a power cut.",
    "min_off": "The relay is not closed sooner after it opened than the load bears.",
    "min_run": "The compressor is not locked sooner after its start than it bears.",
    "max_lock": "The heat pump is never locked for longer than two hours.",
    "tripped": "The relay opens at once when a protection trips, and never closes while it is tripped.",
    "failsafe": "Without a fresh heartbeat the failsafe limit holds, and after its time the cap of the autonomous "
    "state.",
    "power_limit": "A load that keeps on drawing more than the failsafe limit is opened.",
    "configuration": "A configuration that was acknowledged is there after every restart.",
    "energy_back": "The energy register never goes back, but by what one checkpoint holds after a restart that kept "
    "nothing.",
    "nonce": "No nonce is used twice under one key.",
    "exception": "Nothing raises: neither in the device nor in the EMD.",
    "calm": "Once it is calm, device and EMD agree: associated, controlled, the same commands live, everything "
    "delivered.",
}


class Violation(AssertionError):
    """An invariant does not hold. name: its name in INVARIANTS; at_ms: when; device: its name, or ""."""

    def __init__(self, name, at_ms, device, text):
        self.name, self.at_ms, self.device, self.text = name, at_ms, device, text
        super().__init__(f"{name}: {device} at {at_ms / 1000:.3f} s: {text}")
