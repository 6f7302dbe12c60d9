"""Lines of a device's log in words: what the numbers of the events stand for that a person looks for first."""

from spot_host.profile import definition as d

_TYPES = {m.code: m.name for m in d.MESSAGES}
_NAMES = {what: {code: name for code, name, _ in d.enum(what).rows} for what in ("Alarm", "Mode", "Reason", "Reset")}
_RAISED = {0: "cleared", 1: "raised"}
_EVENTS = {  # event: names of its two numbers
    "alarm": (_NAMES["Alarm"], _RAISED),
    "answered": ({}, _NAMES["Reason"]),
    "calibrated": ({}, _NAMES["Reason"]),
    "message.refused": (_TYPES, _NAMES["Reason"]),
    "mode": (_NAMES["Mode"], {}),
    "start.after_failure": (_NAMES["Reset"], {}),
    "watchdog.late": ({0: "device", 1: "agent", 2: "drivers"}, {}),
}


def with_words(line: str) -> str:
    """The line "seconds level event a b", and behind it in brackets what a and b mean, where that is known."""
    parts = line.split(" ")
    if len(parts) != 5 or parts[2] not in _EVENTS:
        return line
    words = []
    for names, number in zip(_EVENTS[parts[2]], parts[3:], strict=True):
        try:
            words.append(names.get(int(number)))
        except ValueError:
            return line
    words = [word for word in words if word]
    return f"{line}  ({', '.join(words)})" if words else line
