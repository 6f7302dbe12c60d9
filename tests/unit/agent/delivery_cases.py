"""Registration, delivery, readings, prices and bad input as cases: (a sentence, a function). For both runtimes.

The sentences follow docs/profile.md, "Rules": registration, delivery, and the table of bad input.
"""

from agent_cases import applied, eq, joined, live, mode
from agent_rig import CMD, EPOCH, EUI64, UTC0, Rig

from spot.agent import registration as reg
from spot.agent.intervals import BATCH
from spot.agent.outbox import WINDOW
from spot.codes import (
    ABSENT,
    ALARM_MESSAGES_REFUSED,
    ALARM_OVER_POWER,
    ALARM_STORE_FAULT,
    CLOCK_EMD,
    CLOCK_UNSET,
    DECIDER_LOCAL_POLICY,
    KIND_LIMIT,
    KIND_OFF,
    MAX_BODY,
    MODE_AUTONOMOUS,
    MODE_INIT,
    POLICY_AVOID_DEAREST,
    POLICY_THRESHOLD,
    QUALITY_CLOCK,
    QUALITY_GAP,
    QUALITY_POWER_CUT,
    R_ENERGY_EXPORT,
    R_ENERGY_IMPORT,
    R_POWER,
    R_VOLTAGE,
    REASON_MALFORMED,
    REASON_MISSING_FIELD,
    REASON_NO_SLOT,
    REASON_NONE,
    REASON_OTHER_EMD,
    REASON_OUT_OF_RANGE,
    REASON_READ_ONLY,
    REASON_STALE_REVISION,
    REASON_UNKNOWN_CRITICAL,
    REASON_UNKNOWN_ID,
    REASON_UNSUPPORTED_VERSION,
    RESET_SOFT,
    SERVICE_REMOTE_CLOSE,
    T_ALARM,
    T_ANSWER,
    T_COMMAND,
    T_CONFIGURE,
    T_FIRMWARE_OFFER,
    T_HEARTBEAT,
    T_INTERVAL,
    T_LINK,
    T_PRICE,
    T_READ,
    T_READ_RESPONSE,
    T_REGISTER,
    T_STATUS,
    T_TELEMETRY,
    T_TIME,
    T_UNREGISTER,
    T_UPDATE,
)
from spot.wire import profile


def answers(r):
    return [v[:3] for v in r.take(T_ANSWER)]


# --- registration -----------------------------------------------------------------------------------------------------


def registers():
    r = Rig()
    r.up()
    types = [row[0] for row in r.sent]
    eq(types, [T_LINK, T_REGISTER])
    got = r.take(T_REGISTER)[0]
    eq(got[:3], [EUI64, 1, RESET_SOFT])
    eq((got[5], got[6], got[25]), ("0.1.0", 2000, "bench"))


def backs_off():
    r = Rig()
    r.up()
    times = []
    send = r.send

    def listen(channel, buf, n, guaranteed=False):
        if profile.head(buf, n) == T_REGISTER:
            times.append(r.now)
        return send(channel, buf, n, guaranteed)

    r.agent._out.send = r.agent.hello._out.send = listen
    r.run(3000, beats=False)
    gaps = [times[i] - (times[i - 1] if i else 0) for i in range(len(times))]
    for i in range(6):
        least = 5 << i
        assert least <= gaps[i] <= least + least // 4, gaps
    for gap in gaps[6:]:
        assert 300 <= gap <= 375, gaps
    r.registered()
    r.run(2000)
    eq(len(times), len(gaps))  # registered: silence


def other_boot():
    r = Rig()
    r.up()
    r.registered(boot=9)
    eq(r.agent.registration.state, reg.ASKING)
    eq(r.agent.plan.epoch, ABSENT)


def refused():
    r = Rig()
    r.up()
    r.give(4, [REASON_OTHER_EMD, 1, EPOCH, r.utc])
    eq(r.agent.registration.state, reg.REFUSED)
    r.take()
    r.run(899, beats=False)
    eq(r.take(T_REGISTER), [])
    r.run(2, beats=False)
    eq(len(r.take(T_REGISTER)), 1)
    r.give(4, [REASON_OTHER_EMD, 1, EPOCH, r.utc])
    r.down()
    r.up()
    eq(len(r.take(T_REGISTER)), 1)  # or when the link comes back


def reconnects():
    r = joined()
    r.down()
    r.up()
    eq(r.take(T_REGISTER), [])
    eq(len(r.take(T_LINK)), 1)
    r.step()
    eq(len(r.take(T_HEARTBEAT)), 1)


def updates():
    r = joined()
    r.device.services |= SERVICE_REMOTE_CLOSE
    r.run(301)
    got = r.take(T_UPDATE)[0]
    assert got[11] & SERVICE_REMOTE_CLOSE
    eq([v for v in got[2:] if v is not None], [got[11]])  # nothing else
    r.run(6)
    eq(len(r.take(T_UPDATE)), 1)  # until it is answered
    r.give(T_ANSWER, [T_UPDATE, REASON_NONE])
    r.run(2000)
    eq(r.take(T_UPDATE), [])


def unregisters():
    r = joined()
    r.command(1, KIND_OFF)
    r.agent.leave(r.now)
    eq(len(r.take(T_UNREGISTER)), 1)
    eq(r.take(T_LINK)[-1][0], 2)
    eq(live(r), [])
    eq(applied(r)[0], ABSENT)
    r.registered()
    eq(r.agent.registration.state, reg.LEFT)
    r.boot()
    eq(r.agent.plan.epoch, ABSENT)


def plan_costs_one_write():
    r = joined()
    before = r.store.writes
    for _ in range(5):
        r.registered()
    eq(r.store.writes, before)


def boot_registers():
    r = joined()
    r.boot()
    r.up()
    eq(r.take(T_REGISTER)[0][1], 2)


def unknown_to_emd():
    r = joined()
    r.run(60)
    r.take()
    r.give(T_ANSWER, [T_HEARTBEAT, 35])
    eq(len(r.take(T_REGISTER)), 1)


# --- heartbeat --------------------------------------------------------------------------------------------------------


def beats():
    r = joined()
    r.command(1, KIND_LIMIT, 700, duration=9000)
    r.run(600)
    got = r.take(T_HEARTBEAT)
    eq(len(got), 10)
    eq([v[5] for v in got], list(range(2, 12)))
    eq(got[-1][:5], [EPOCH, r.utc, profile.digest([(1, 0)]), CLOCK_EMD, 1])


def resynchronises():
    r = joined()
    r.command(1, KIND_LIMIT, 700, duration=9000)
    r.command(2, KIND_OFF, duration=9000)
    r.run(60)
    r.statuses()
    r.run(60, beats=False)
    r.heartbeat(digest=5)
    r.step()
    eq([s[0] for s in r.statuses()], [1, 2])
    r.run(30, beats=False)
    r.heartbeat(digest=5)
    r.step()
    eq(r.statuses(), [])  # the same mismatch: not again at once
    r.ack_all()
    r.heartbeat(digest=6)
    r.step()
    eq(len(r.statuses()), 2)


def no_needless_resynchronisation():
    r = joined()
    r.command(1, KIND_LIMIT, 700, duration=9000)
    r.step()
    r.statuses()
    r.heartbeat(digest=0)  # it went before our statuses came: they say it all
    r.step()
    eq(r.statuses(), [])
    r.ack_all()
    r.heartbeat(digest=0)  # now the EMD has them, and means it
    r.step()
    eq([s[0] for s in r.statuses()], [1])


def statuses_before_the_beat():
    """A heartbeat's digest must not be ahead of the statuses that explain it."""
    r = joined()
    r.run(60)
    due = r.agent.heartbeat.due_s
    r.command(1, KIND_OFF, duration=due - r.now)
    r.run(due - r.now - 1, beats=False)
    r.sent = []
    r.run(1, beats=False)
    types = [kind for kind, _, _ in r.sent]
    assert T_HEARTBEAT in types and T_STATUS in types, types
    assert types.index(T_STATUS) < types.index(T_HEARTBEAT), types


def time_from_emd():
    r = joined()
    eq(r.clock.utc(r.now), r.utc)
    r.wall += 5
    r.heartbeat()
    eq(r.clock.utc(r.now), r.utc)  # a small correction comes with a heartbeat
    r.wall -= 8
    r.heartbeat()
    eq(r.clock.utc(r.now), r.utc + 8)  # not backwards: it may have been under way for 8 s
    r.answer_time()
    eq(r.clock.utc(r.now), r.utc)
    r.wall += 4000
    r.heartbeat()
    assert r.clock.utc(r.now) != r.utc  # a large one only by a question
    r.step()
    r.answer_time()
    eq(r.clock.utc(r.now), r.utc)


def old_time_answer():
    r = joined()
    r.run(30, beats=False)
    r.registered(time=r.utc - 25)  # an answer to our question half a minute ago
    eq(r.clock.utc(r.now), r.utc)
    r.wall += 4000
    r.heartbeat()
    asked = r.take(T_TIME)[0]
    r.run(60, beats=False)
    r.give(T_TIME, [asked[0], r.utc - 60, 4])
    assert r.clock.utc(r.now) != r.utc - 60
    r.give(T_TIME, [12345, 5, 4])
    assert r.clock.utc(r.now) != 5


# --- delivery ---------------------------------------------------------------------------------------------------------


def kept_until_acknowledged():
    r = joined()
    r.auto_ack = False
    r.down()
    for i in range(3):
        r.agent.alarm(r.now, ALARM_OVER_POWER, True, 3000 + i, 2300)
    r.run(100)
    eq(r.take(T_ALARM), [])
    r.up()
    r.step()
    eq([v[4] for v in r.take(T_ALARM)], [3000, 3001, 3002])
    r.down()
    r.up()
    resent = []
    r.events.clear()
    r.step()
    resent = r.take(T_ALARM)
    eq(len(resent), 3)  # not acknowledged: again
    r.ack(events=1)
    r.down()
    r.up()
    r.events.clear()
    r.step()
    eq([v[0] for v in r.take(T_ALARM)], [2])
    r.ack(events=2)
    r.events.clear()
    r.run(1000)
    eq(r.take(T_ALARM), [])


def kept_over_reboot():
    r = joined()
    r.down()
    r.command(1, KIND_OFF)
    r.agent.alarm(r.now, ALARM_OVER_POWER, True, 3000, 2300)
    r.boot()
    r.join()
    r.step()
    eq(sorted(r.events), [0, 1, 2, 3])
    eq(r.agent.events.next, 4)  # 3: the command after the restart


def acknowledged_is_not_lost():
    r = joined()
    r.auto_ack = False
    for i in range(90):
        r.agent.alarm(r.now, ALARM_OVER_POWER, True, i, 1)
        r.step()
        r.ack(events=max(r.events))  # never written: nothing is appended after the last
    r.boot()
    eq(r.agent.events.stream.lost, 0)
    r.join()
    r.step()
    eq([v[2:4] for v in r.take(T_ALARM) if v[2] == ALARM_STORE_FAULT], [])


def resent_after_timeout():
    r = joined()
    r.auto_ack = False
    r.agent.alarm(r.now, ALARM_OVER_POWER, True, 1, 1)
    r.step()
    r.take()
    sent = []
    send = r.send

    def listen(channel, buf, n, guaranteed=False):
        if profile.head(buf, n) == T_ALARM:
            assert guaranteed
            sent.append(r.now)
        return send(channel, buf, n, guaranteed)

    r.agent.events._out.send = listen
    r.run(120)
    eq(sent, [15, 45, 105])


def window():
    r = joined()
    r.auto_ack = False
    for i in range(20):
        r.agent.alarm(r.now, ALARM_OVER_POWER, True, i, 1)
    r.step()
    eq(len(r.take(T_ALARM)), WINDOW)
    r.ack(events=3)
    r.step()
    eq(len(r.take(T_ALARM)), 4)


def link_takes_nothing():
    r = joined()
    r.auto_ack = False
    r.refuse_sending = True
    r.agent.alarm(r.now, ALARM_OVER_POWER, True, 1, 1)
    r.run(20, beats=False)
    eq(r.take(T_ALARM), [])
    r.refuse_sending = False
    r.run(5, beats=False)
    eq(len(r.take(T_ALARM)), 1)


def events_overflow():
    r = joined()
    r.down()
    for i in range(700):
        r.agent.alarm(r.now, ALARM_OVER_POWER, True, i, 1)
    stream = r.agent.events.stream
    held = len(stream)
    assert 256 <= held < 400, held
    r.up()
    r.step()
    gap = r.take(T_ALARM)[0]
    eq(gap[:1] + gap[2:], [700 - held - 1, ALARM_STORE_FAULT, 0, 700 - held, 0])
    eq(stream.lost, 700 - held)


def journal_lost():
    r = joined()
    r.command(1, KIND_OFF)
    r.run(60)
    for name in list(r.fs.files):
        if "events" in name or "intervals" in name:
            del r.fs.files[name]
    r.boot()
    r.up()
    r.step()
    r.registered(events_upto=40, intervals_upto=99)
    r.step()
    numbers = [v[0] for v in r.take(T_STATUS)]
    eq(numbers, [41])  # goes on where the EMD is, or it would take it for a repetition
    r.boot()
    eq(r.agent.events.next, 42)


def record_damaged():
    r = joined()
    r.auto_ack = False
    r.down()
    for i in range(3):
        r.agent.alarm(r.now, ALARM_OVER_POWER, True, i, 1)
    for name in r.fs.files:
        if "events" in name:
            data = bytearray(r.fs.files[name])
            data[len(data) // 2] ^= 1  # a bit in the second of three
            r.fs.files[name] = bytes(data)
    r.up()
    r.step()
    eq([(v[0], v[2], v[4]) for v in r.take(T_ALARM)], [
        (0, ALARM_OVER_POWER, 0), (1, ALARM_STORE_FAULT, 1), (2, ALARM_OVER_POWER, 2),
    ])


def groups():
    r = joined(groups=[7, 9])
    eq(r.agent.plan.groups, [7, 9])
    r.boot()
    eq(r.agent.plan.groups, [7, 9])


def ack_beyond():
    r = joined()
    r.auto_ack = False
    r.agent.alarm(r.now, ALARM_OVER_POWER, True, 1, 1)
    r.ack(events=500)
    eq(len(r.agent.events.stream), 1)  # nothing is thrown away


def flash_fails():
    r = joined()
    r.fs.full = True
    r.agent.alarm(r.now, ALARM_OVER_POWER, True, 7, 1)
    r.run(2)
    got = r.take(T_ALARM)
    eq([(v[2], v[3]) for v in got], [(ALARM_OVER_POWER, 1), (ALARM_STORE_FAULT, 1)])  # RAM holds them
    r.fs.full = False
    r.run(60)
    eq([(v[2], v[3]) for v in r.take(T_ALARM)], [(ALARM_STORE_FAULT, 0)])


# --- interval readings ------------------------------------------------------------------------------------------------


def aligned():
    r = joined()
    r.run(3 * 3600)
    rows = [r.intervals[i] for i in sorted(r.intervals)]
    for start, length, _, _ in rows:
        eq((start % 900, length), (0, 15))
    eq([row[0] for row in rows], [rows[0][0] + 900 * i for i in range(len(rows))])
    eq([row[2] for row in rows[1:]], [500] * (len(rows) - 1))
    eq([row[3] for row in rows[1:]], [0] * (len(rows) - 1))
    eq(rows[0][3], QUALITY_GAP)


def back_fill():
    r = joined(lease=604800)
    r.run(1000)
    r.down()
    r.run(2 * 86400)
    before = len(r.intervals)
    sizes = []
    send = r.send

    def listen(channel, buf, n, guaranteed=False):
        if profile.head(buf, n) == T_INTERVAL:
            sizes.append(n)
        return send(channel, buf, n, guaranteed)

    r.agent.intervals._out.send = listen
    r.up()
    r.run(60)
    eq(len(r.intervals) - before, 192)
    assert len(sizes) <= 2 + 192 // BATCH and max(sizes) <= MAX_BODY, sizes
    eq(r.gaps, [])
    eq(sum(row[2] for row in r.intervals.values()), r.take(T_INTERVAL)[-1][6] - 5000)  # the register says the same


def one_is_small():
    r = joined()
    r.auto_ack = True
    r.run(1200)
    sizes = []
    send = r.send

    def listen(channel, buf, n, guaranteed=False):
        if profile.head(buf, n) == T_INTERVAL:
            sizes.append(n)
        return send(channel, buf, n, guaranteed)

    r.agent.intervals._out.send = listen
    r.run(900)
    assert 0 < sizes[0] <= 32, sizes


def large_energy():
    r = joined()
    r.run(1000)
    r.device.readings[R_ENERGY_IMPORT] += 700000
    r.run(900)
    eq(max(row[2] for row in r.intervals.values()), 700500 // 100 * 100)  # scaled, the register has the rest


def exported():
    r = joined()
    r.device.readings[R_ENERGY_EXPORT] = 10
    r.run(1300)
    r.device.readings[R_ENERGY_EXPORT] = 310
    r.run(900)
    rows = r.take(T_INTERVAL)
    eq(list(rows[-1][7]), [300])


def power_cut():
    r = joined()
    r.run(2000)  # intervals end at 300 and 1200
    r.device.readings[R_ENERGY_IMPORT] += 0
    energy = r.device.readings[R_ENERGY_IMPORT]
    r.boot()
    r.wall += 3600
    r.join()
    r.run(900)
    rows = [r.intervals[i] for i in sorted(r.intervals)]
    cut = rows[2]
    eq(cut[0], UTC0 + 1200)
    eq(cut[3], QUALITY_POWER_CUT | QUALITY_GAP)
    after = rows[3]
    eq(after[3] & QUALITY_POWER_CUT, QUALITY_POWER_CUT)
    register = r.device.readings[R_ENERGY_IMPORT]
    eq(sum(row[2] for row in rows) <= register - 5000, True)
    eq(cut[2], energy - 5000 - rows[0][2] - rows[1][2])  # counted once, and not lost


def reboot_in_the_interval():
    r = joined()
    r.run(1500)  # 300 s into an interval
    r.boot()
    r.join()
    r.run(600)
    eq(r.intervals[2][2], 500)
    eq(r.intervals[2][3], QUALITY_POWER_CUT)


def no_time():
    r = Rig()
    r.run(4000)
    eq(len(r.agent.intervals.stream), 0)
    r.join()
    r.run(900)
    first = r.intervals[0]
    assert first[2] >= 2000, first  # what was used before the time was known is not lost
    eq(first[3] & QUALITY_GAP, QUALITY_GAP)


def clock_back():
    r = joined()
    r.run(1300)
    r.agent.set_time(r.now, r.utc - 7200, 4)
    r.wall -= 7200
    r.run(900)
    eq(r.intervals[max(r.intervals)][3] & QUALITY_CLOCK, QUALITY_CLOCK)
    register = r.device.readings[R_ENERGY_IMPORT]
    assert register - 5000 - sum(row[2] for row in r.intervals.values()) < 500


def interval_writes():
    r = joined()
    r.run(3600)
    before = r.store.writes
    r.run(86400)
    eq(r.store.writes - before, 96 + 4 + 2)  # one an interval, the clock's floor, midnight


# --- telemetry --------------------------------------------------------------------------------------------------------


def by_interval():
    r = joined()
    r.run(3000)
    got = r.take(T_TELEMETRY)
    eq(len(got), 10)
    first = got[0][0]
    eq([v[0] for v in got], list(range(first, first + 10)))
    eq(got[-1][2:5], [2000, CLOCK_EMD, 0])


def shorter_interval():
    r = joined(telemetry_interval=86400)
    r.run(100)
    r.take()
    r.plan["telemetry_interval"] = 60
    r.registered()
    r.run(61)
    eq(len(r.take(T_TELEMETRY)), 1)  # not tomorrow
    r.give(T_CONFIGURE, [EPOCH, 1, r.utc, [21, 10]])
    r.run(10)
    eq(len(r.take(T_TELEMETRY)), 1)


def by_dead_band():
    r = joined(deadband=100)
    r.run(10)
    r.take()
    r.device.readings[R_POWER] = 2090
    r.run(5)
    eq(r.take(T_TELEMETRY), [])
    r.device.readings[R_POWER] = 2200
    r.step()
    eq([v[2] for v in r.take(T_TELEMETRY)], [2200])
    r.device.readings[R_POWER] = 100
    r.step()
    eq(r.take(T_TELEMETRY), [])  # a minimum between two
    r.run(5)
    eq([v[2] for v in r.take(T_TELEMETRY)], [100])


def trailing():
    r = joined()
    r.device.readings[R_VOLTAGE] = 23012
    r.run(301)
    got = [row for row in r.sent if row[0] == T_TELEMETRY][-1]
    eq(got[1][6], 23012)
    assert len(got[2]) < 32


def not_kept():
    r = joined()
    r.down()
    writes = r.store.writes
    r.run(200)
    eq(r.take(T_TELEMETRY), [])
    eq(r.store.writes, writes)
    r.up()
    r.step()
    eq(len(r.take(T_TELEMETRY)), 1)


def no_clock_telemetry():
    r = Rig()
    r.up()
    r.agent.registration.state = reg.JOINED
    r.agent.telemetry.send(r.now)
    got = r.take(T_TELEMETRY)[0]
    eq(got[3], CLOCK_UNSET)


# --- asking -----------------------------------------------------------------------------------------------------------


def read_now():
    r = joined()
    r.command(1, KIND_LIMIT, 700)
    r.give(T_READ, [EPOCH, 4, r.utc, [1, 10, 11, 9, 28, 200]])
    r.step()
    got = r.take(T_READ_RESPONSE)[0]
    eq(got[1:], [4, r.utc, CLOCK_EMD, [1, 1, 10, 1, 11, 700, 9, r.utc, 28, 1000]])
    r.give(T_READ, [EPOCH, 4, r.utc, [1, 10, 11, 9, 28, 200]])
    r.step()
    eq(len(r.events), 3)  # a repetition is answered by the stream
    r.give(T_READ, [EPOCH, 5, r.utc, [200]])
    eq(answers(r), [[T_READ, REASON_UNKNOWN_ID, 5]])


def read_many():
    r = joined()
    for object_id in range(50, 72):
        r.device.objects[object_id] = -1000000000 + object_id
    r.give(T_READ, [EPOCH, 4, r.utc, list(range(50, 72))])
    r.step()
    row = r.sent[-1]
    eq(row[1][4][0::2], list(range(50, 72)))
    eq(row[1][4][1], -1000000000 + 50)
    assert len(row[2]) <= 191, len(row[2])


def configures():
    r = joined()
    r.give(T_CONFIGURE, [EPOCH, 6, r.utc, [21, 30, 28, 800, 25, 5]])
    eq(answers(r), [[T_CONFIGURE, REASON_NONE, 6]])
    eq((r.agent.plan.telemetry_interval, r.agent.plan.failsafe_limit, r.device.objects[25]), (30, 800, 5))
    r.boot()
    eq(r.agent.plan.failsafe_limit, 800)


def all_or_none():
    r = joined()
    for number, values, reason in (
        (1, [25, 5, 28, 800, 21, 0], REASON_OUT_OF_RANGE), (2, [25, 5, 21, 60, 11, 5], REASON_READ_ONLY),
        (3, [21, 60, 200, 1], REASON_READ_ONLY), (4, [21, 60, 25], REASON_OUT_OF_RANGE),
    ):
        r.give(T_CONFIGURE, [EPOCH, number, r.utc, values])
        eq(answers(r), [[T_CONFIGURE, reason, number]])
        eq((r.agent.plan.telemetry_interval, r.agent.plan.failsafe_limit, r.device.objects[25]), (300, 1000, 900))


def configure_out_of_order():
    r = joined()
    r.give(T_CONFIGURE, [EPOCH, 2, r.utc, [21, 60]])
    r.give(T_CONFIGURE, [EPOCH, 1, r.utc - 5, [21, 30]])
    eq(r.agent.plan.telemetry_interval, 60)
    eq(answers(r)[-1], [T_CONFIGURE, REASON_STALE_REVISION, 1])


def firmware():
    r = joined()
    r.give(T_FIRMWARE_OFFER, [EPOCH, 8, 1, "2.0", 1000, b"x" * 32, "fw"])
    eq(answers(r), [[T_FIRMWARE_OFFER, REASON_NO_SLOT, 8]])


# --- prices -----------------------------------------------------------------------------------------------------------

DAY = [50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150, 160, 170, 180, 190, 200, 210, 220, 230, 240, 20, 10, 5, 1]


def price(r, revision=1, series=None, start=None, minutes=60, scale=0, until=None):
    values = [revision, r.utc if start is None else start, minutes, scale, list(DAY if series is None else series)]
    if until is not None:
        values += [None, until]
    r.give(T_PRICE, values, channel=7)


def alone(r):
    """Lets the EMD go away for good, right now: autonomous, hours before the interesting ones."""
    r.down()
    r.run(121, beats=False)
    eq(mode(r), MODE_AUTONOMOUS)


def avoids_dearest():
    r = joined(policy=POLICY_AVOID_DEAREST, policy_value=3)
    start = r.utc
    price(r)
    eq(applied(r)[0], ABSENT)  # informational while the EMD is there
    alone(r)
    off = []
    while r.utc < start + 86400:
        if applied(r)[0] == KIND_OFF:
            eq(applied(r)[3], DECIDER_LOCAL_POLICY)
            off.append((r.utc - start) // 3600)
        r.run(3600 - (r.utc - start) % 3600)
    eq(off, [17, 18, 19])
    r.run(3600)
    eq(applied(r)[0], ABSENT)  # no price, no rule


def quarter_hours():
    r = joined(policy=POLICY_AVOID_DEAREST, policy_value=2)
    start = r.utc
    series = [0] * 96
    for i in (5, 20, 21, 22, 23, 40, 41):  # hours 1 (one quarter), 5 (four), 10 (two)
        series[i] = 100
    price(r, series=series, minutes=15)
    alone(r)
    off = []
    while r.utc < start + 86400:
        if applied(r)[0] == KIND_OFF:
            off.append((r.utc - start) // 900)
        r.run(900 - (r.utc - start) % 900)
    eq(off, [20, 21, 22, 23, 40, 41, 42, 43])


def threshold():
    r = joined(policy=POLICY_THRESHOLD, policy_value=15)  # 15 cents: 150 EUR/MWh
    start = r.utc
    price(r, series=[v * 10 for v in DAY], scale=-1)
    alone(r)
    off = []
    while r.utc < start + 86400:
        if applied(r)[0] == KIND_OFF:
            off.append((r.utc - start) // 3600)
        r.run(3600 - (r.utc - start) % 3600)
    eq(off, list(range(11, 20)))


def price_survives():
    r = joined(policy=POLICY_THRESHOLD, policy_value=1)
    price(r, series=[500] * 24)
    r.boot()
    r.agent.set_time(r.now, r.utc, 4)
    eq(r.agent.policy.revision, 1)
    r.run(121, beats=False)
    eq(applied(r)[:1], (KIND_OFF,))
    eq(mode(r), MODE_AUTONOMOUS)


def price_revision():
    r = joined()
    price(r, revision=5)
    writes = r.store.writes
    price(r, revision=5, series=[1])
    price(r, revision=4, series=[1])
    eq(len(r.agent.policy._series), 24)
    eq(r.store.writes, writes)
    price(r, revision=6, series=[1, 2])
    eq(len(r.agent.policy._series), 2)


def price_expires():
    r = joined(policy=POLICY_THRESHOLD, policy_value=1)
    price(r, series=[500] * 24, until=r.utc + 600)
    alone(r)
    eq(applied(r)[0], KIND_OFF)
    r.run(500)
    eq(applied(r)[0], ABSENT)


# --- bad input --------------------------------------------------------------------------------------------------------


def truncated():
    r = joined()
    r.command(1, KIND_LIMIT, 700, duration=90000)
    before = applied(r)
    for type, values in (
        (T_COMMAND, [EPOCH, 1, 0, 5, KIND_LIMIT, UTC0, 0, 90000, 700]), (T_HEARTBEAT, [EPOCH, UTC0, 5, 4, None, 1]),
        (T_READ, [EPOCH, 5, UTC0, [1, 2]]), (T_CONFIGURE, [EPOCH, 5, UTC0, [21, 60]]),
        (T_PRICE, [9, UTC0, 60, 0, [1, 2]]),
        (12, [EPOCH, 5, 5]), (T_TIME, [5, UTC0, 4]), (T_ANSWER, [6, 0, 5]), (4, [0, 2, EPOCH, UTC0, 3, 86400]),
        (T_FIRMWARE_OFFER, [EPOCH, 8, 1, "2.0", 1000, b"x" * 32, "fw"]),
    ):
        buf = bytearray(512)
        n = profile.encode(type, values, buf)
        for cut in range(n):
            r.raw(buf[:cut])
        r.raw(bytes(buf[:n]) + b"\x00")
        for at in range(n):
            wrong = bytearray(buf[:n])
            wrong[at] = 0xFF
            r.raw(wrong)
    r.step()
    eq(applied(r), before)
    eq(live(r), [(1, 0)])
    assert r.agent.refusals.count > 100


def answers_are_limited():
    r = joined()
    for _ in range(100):
        r.raw(b"\xff\xff\xff")
    r.step()
    eq(len(r.take(T_ANSWER)), 10)
    got = r.take(T_ALARM)
    eq([(v[2], v[3], v[4]) for v in got], [(ALARM_MESSAGES_REFUSED, 1, 11)])
    eq(r.log.counts["message.refused"], 100)
    r.run(700)
    eq([(v[2], v[3], v[4]) for v in r.take(T_ALARM)], [(ALARM_MESSAGES_REFUSED, 0, 100)])


def unknown_type():
    r = joined()
    r.raw(b"\x81\x18\x1e")
    r.raw(b"\x82\x01\x00")  # a device's own message
    eq(r.agent.ignored, 2)
    eq(answers(r), [])


def other_version():
    r = joined()
    r.raw(b"\x82\x18\x26\x00")
    eq(answers(r), [[38, REASON_UNSUPPORTED_VERSION, None]])


def unknown_fields():
    r = joined()
    buf = bytearray(64)
    n = profile.encode(T_COMMAND, [EPOCH, 5, 0, 5, KIND_OFF, UTC0, 0, 600, None, None, 0, 0, 0, 0], buf)
    buf[0] += 2
    r.raw(bytes(buf[:n]) + b"\x07\xa1\x02\x05")  # an unknown field, an unknown optional extension
    eq(live(r), [(5, 0)])
    r.raw(bytes(buf[:2]) + b"\x18\x4d\x06" + bytes(buf[5:n]) + b"\x07\xa1\x03\x05")  # an odd one is critical
    eq(answers(r), [[T_COMMAND, REASON_UNKNOWN_CRITICAL, 6]])
    eq(live(r), [(5, 0)])


def missing_field():
    r = joined()
    buf = bytearray(64)
    n = profile.encode(T_COMMAND, [EPOCH, 5, 0, 5, KIND_OFF, UTC0, 0, 600], buf)
    buf[0] -= 1
    r.raw(buf[: n - 3])
    eq(r.take(T_ANSWER), [[T_COMMAND, REASON_MISSING_FIELD, 5, CMD.index("duration")]])
    eq(live(r), [])


def too_long():
    r = joined()
    r.raw(b"\x82\x06" + b"\x00" * 2000)
    eq(answers(r), [[T_COMMAND, REASON_MALFORMED, None]])


def torn_store():
    r = joined()
    r.command(1, KIND_OFF, duration=90000)
    price(r)
    r.step()
    for name in list(r.fs.files):
        good = r.fs.files[name]
        for broken in (b"", good[: len(good) // 2], bytes(reversed(good))):
            r.fs.files[name] = broken
            r.boot()
            r.step()
            r.join()
            r.run(10)
            eq(mode(r), MODE_INIT)
            r.fs.files[name] = good


CASES = (
    ("A device registers on link up, with all it can do", registers),
    ("It asks again with a growing back-off until it is answered", backs_off),
    ("An answer to another boot is ignored", other_boot),
    ("Refused: asked again after 15 minutes", refused),
    ("A reconnect registers nothing", reconnects),
    ("A change is told by update until it is answered", updates),
    ("Unregistered: everything of the EMD's is dropped", unregisters),
    ("The same plan again costs no write", plan_costs_one_write),
    ("A boot registers", boot_registers),
    ("An EMD that does not know us is registered with", unknown_to_emd),
    ("Heartbeats carry epoch, time, digest, mode and their count", beats),
    ("A digest that differs has all live statuses sent again", resynchronises),
    ("But not while the statuses that explain it are under way", no_needless_resynchronisation),
    ("Statuses go before a heartbeat of the same second", statuses_before_the_beat),
    ("The EMD's time sets the clock", time_from_emd),
    ("A time that waited in a queue does not", old_time_answer),
    ("Events are kept until they are acknowledged", kept_until_acknowledged),
    ("Also over a reboot, under the same numbers", kept_over_reboot),
    ("What was acknowledged is not reported lost after a reboot", acknowledged_is_not_lost),
    ("And sent again after a while", resent_after_timeout),
    ("Few are in flight", window),
    ("A link that takes nothing loses nothing", link_takes_nothing),
    ("Beyond the depth the oldest go, and a gap record says so", events_overflow),
    ("A lost journal goes on where the EMD is", journal_lost),
    ("A damaged record is a gap, and those behind it come", record_damaged),
    ("The groups to listen to are kept", groups),
    ("An acknowledgement of what was never sent is ignored", ack_beyond),
    ("Flash that fails: RAM holds, the alarm says it", flash_fails),
    ("Intervals are aligned to the UTC hour", aligned),
    ("Back-fill comes in series, complete", back_fill),
    ("A single interval is small", one_is_small),
    ("Large energy is scaled", large_energy),
    ("Export is separate", exported),
    ("A power cut is marked, its energy counted once", power_cut),
    ("A reboot within an interval costs it nothing", reboot_in_the_interval),
    ("Energy before the time is known is not lost", no_time),
    ("A clock set back is marked", clock_back),
    ("An interval costs one write", interval_writes),
    ("Telemetry by interval, numbered", by_interval),
    ("A shorter interval holds at once", shorter_interval),
    ("By dead-band, with a minimum between", by_dead_band),
    ("Trailing quantities as the device has them", trailing),
    ("Telemetry is not kept", not_kept),
    ("Without a clock telemetry says so", no_clock_telemetry),
    ("Read now is answered through the stream of events", read_now),
    ("The longest answer fits", read_many),
    ("Configure writes and is kept", configures),
    ("All or none", all_or_none),
    ("An older configure that comes later is stale", configure_out_of_order),
    ("Firmware is not served", firmware),
    ("Alone, the dearest hours are avoided", avoids_dearest),
    ("Quarter-hours are ranked by their hours", quarter_hours),
    ("Alone, what is over the threshold is avoided", threshold),
    ("The series survives a reboot", price_survives),
    ("A lower or equal revision is ignored", price_revision),
    ("A series that is over says nothing", price_expires),
    ("Cut and broken messages of every type change nothing", truncated),
    ("Answers to bad input are limited, counted, and an alarm", answers_are_limited),
    ("Unknown types are ignored and counted", unknown_type),
    ("Another version of the profile is refused", other_version),
    ("Unknown fields are ignored, critical ones refused", unknown_fields),
    ("A missing field is named", missing_field),
    ("A body over the limit is refused", too_long),
    ("Torn or broken files: the device comes up", torn_store),
)


def run():
    """Runs the cases; returns [(sentence, error)] of those that failed."""
    failed = []
    for sentence, function in CASES:
        try:
            function()
        except Exception as error:
            failed.append((sentence, repr(error)))
    return failed
