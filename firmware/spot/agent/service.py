"""What is rarely asked of a device, and not by every EMD: its log, the record of a crash, a calibration.

A file of its own, loaded when it is asked (spot_host.build.PARTS).
"""

from spot.codes import (
    ABSENT,
    CH_STATUS,
    REASON_BUSY,
    REASON_ENDED,
    REASON_MISSING_FIELD,
    REASON_NO_TIME,
    REASON_NONE,
    REASON_UNKNOWN_ID,
    RECORD_LOG,
    T_CALIBRATE,
    T_LOG,
    T_READ_LOG,
)
from spot.port import const
from spot.wire import profile

_TEXT = const(180)  # octets of one message
_DAY_S = const(86400)
_A_DAY = const(24)  # calibrations begun: each is kept, and a meter is not adjusted for sport
_STALE_S = const(120)  # a calibration asked for so long ago meets another load


def serve(seat, now_s, type, values):
    """Answers a `read_log` or `calibrate` of which the epoch is right, and which this EMD may send."""
    (_read_log if type == T_READ_LOG else _calibrate)(seat, now_s, values)


def _read_log(seat, now_s, values):
    """Answers a `read_log` with what fits one message."""
    agent = seat.agent
    record, first = values[3], values[4]
    if record == RECORD_LOG:
        first, following, octets = seat.log.lines(first, _TEXT)
    else:
        octets = agent.crash(False) if agent.crash is not None else None
        if not octets:
            seat.refusals.refuse(now_s, T_READ_LOG, REASON_UNKNOWN_ID, values[1])
            return
        first, following, octets = _lines(octets, first)
        if values[4] == following and seat.at == 0:  # whoever asks for what lies beyond has not read it
            agent.crash(True)
    answer = [values[1], record, agent.identity.boot, first, following, str(octets, "utf-8")]
    seat._out.send(CH_STATUS, seat._tx, profile.encode(T_LOG, answer, seat._tx), False)


def _lines(octets, first):
    """(first, next, octets) of the lines of a text from `first` on; what is no ASCII is "?"."""
    lines = [line for line in octets.split(b"\n") if line]
    at = first = min(first, len(lines))
    out = b""
    while at < len(lines):
        line = bytes([c if 32 <= c < 127 else 63 for c in lines[at][: _TEXT - 1]]) + b"\n"
        if len(out) + len(line) > _TEXT:
            break
        out += line
        at += 1
    return first, at, out


def _calibrate(seat, now_s, values):
    """Starts a calibration; its answer goes out when it is over. A repetition changes nothing."""
    agent = seat.agent
    device = agent.device
    issued, seconds = values[2], values[3]
    latest = agent.calibration
    if latest is not None and latest[:3] == [seat, values[1], issued]:
        if latest[3] is not None:
            seat.refusals.answer(now_s, T_CALIBRATE, latest[3], values[1])
        return
    utc = agent.clock.utc(now_s)
    since_s, begun = now_s, 0
    if latest is not None and now_s - latest[4] < _DAY_S:
        since_s, begun = latest[4], latest[5]
    truth = [ABSENT if value is None else value for value in values[4:7]]
    if utc == ABSENT:
        reason = REASON_NO_TIME
    elif utc - issued > _STALE_S:
        reason = REASON_ENDED
    elif max(truth) == ABSENT:
        reason = REASON_MISSING_FIELD
    elif latest is not None and latest[3] is None or begun >= _A_DAY:
        reason = REASON_BUSY
    else:
        agent.calibration = [seat, values[1], issued, None, since_s, begun]

        def done(now_s, ref, reason):
            agent.calibration[3] = reason
            seat.log.info("calibrated", ref, reason)
            seat.refusals.answer(now_s, T_CALIBRATE, reason, ref)

        device.on_calibrated = done
        reason = device.calibrate(now_s, values[1], truth[0], truth[1], truth[2], seconds)
        if reason == REASON_NONE:
            agent.calibration[5] += 1
            return
        agent.calibration[3] = reason
    seat.refusals.answer(now_s, T_CALIBRATE, reason, values[1])
