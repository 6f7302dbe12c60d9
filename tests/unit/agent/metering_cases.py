"""Metering as a utility expects it, outage, service: cases for both runtimes. (a sentence, a function)

The sentences follow docs/profile.md, "Rules": interval readings, midnight, outage and restore, log and calibration.
"""

from agent_cases import eq, joined
from agent_rig import EPOCH, UTC0, FakeDevice, Rig
from association_rig import House

from spot.codes import (
    ABSENT,
    ALARM_CRASH,
    ALARM_OUTAGE,
    ALARM_OVER_POWER,
    ALARM_RESTORE,
    CLOCK_EMD,
    KIND_LIMIT,
    KIND_OFF,
    KIND_ON,
    KIND_SG_READY,
    OBJ_BOOTS,
    OBJ_HEAP_FREE,
    OBJ_INTERVAL_LENGTH,
    OBJ_LOG_LEVEL,
    OBJ_RESTART,
    OBJ_SAFE_MODE,
    OBJ_UPTIME,
    PROFILE_HEAT_PUMP,
    QUALITY_CLOCK,
    QUALITY_ESTIMATED,
    QUALITY_GAP,
    QUALITY_POWER_CUT,
    R_ENERGY_IMPORT,
    R_POWER,
    REASON_BUSY,
    REASON_ENDED,
    REASON_MISSING_FIELD,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_OUT_OF_RANGE,
    REASON_UNKNOWN_ID,
    RECORD_CRASH,
    RECORD_LOG,
    RESET_POWER_ON,
    SERVICE_FORECAST,
    STATE_COMPLETED,
    T_ALARM,
    T_ANSWER,
    T_CALIBRATE,
    T_CONFIGURE,
    T_FORECAST,
    T_HEARTBEAT,
    T_INTERVAL,
    T_LOG,
    T_READ,
    T_READ_LOG,
    T_READ_RESPONSE,
    T_REGISTER,
    T_REGISTERED,
    T_REGISTERS,
    T_STATUS,
    T_TELEMETRY,
)
from spot.wire import profile

DAY = 86400
MIDNIGHT = UTC0 - UTC0 % DAY + DAY  # the first one after the bench begins


def rows(r):
    """[(start, minutes, Wh, quality)] of all intervals, in the order of their numbers."""
    return [r.intervals[n] for n in sorted(r.intervals)]


def until(r, wall_utc, beats=True):
    """Lets time pass until the true UTC is this."""
    while r.utc < wall_utc:
        r.run(min(7200, wall_utc - r.utc), beats)
        r.sent = [row for row in r.sent if row[0] not in (T_TELEMETRY, T_HEARTBEAT)]  # days of them fill a chip


def registers(r):
    """[(time, import, quality or 0, peak, peak time, switches, starts)] of the midnights since the last call."""
    return [(v[1], v[2], v[3] or 0, v[5], v[6], v[7], v[8]) for v in r.take(T_REGISTERS)]


def contiguous(found):
    """No interval begins before the one before it has ended, none is missing."""
    for at in range(1, len(found)):
        before, after = found[at - 1], found[at]
        eq(after[0], before[0] + 60 * before[1])


# --- interval readings ------------------------------------------------------------------------------------------------


def lengths_that_are_none():
    for length in (1, 5, 15, 30, 60):
        eq(joined(interval_length=length).agent.plan.interval_length, length)
    for length in (2, 7, 10, 20, 45, 59):
        r = joined(interval_length=length)
        eq(r.agent.plan.interval_length, 15)
        r.registered()
        eq([v[1] for v in r.take(T_ANSWER) if v[0] == T_REGISTERED], [REASON_OUT_OF_RANGE])
        r.give(T_CONFIGURE, [EPOCH, 1, r.utc, [OBJ_INTERVAL_LENGTH, length]])
        eq(r.take(T_ANSWER)[-1][:3], [T_CONFIGURE, REASON_OUT_OF_RANGE, 1])
        r.registered(interval_length=30)
        r.registered()
        eq(r.agent.plan.interval_length, 30)  # what was good before stays


def every_length_is_aligned():
    for length in (1, 5, 15, 30, 60):
        r = joined(interval_length=length)
        r.run(3 * 3600)
        r.ack_all()
        found = rows(r)
        contiguous(found)
        for start, minutes, wh, quality in found[1:]:
            if minutes == length:
                eq(start % (60 * length), 0)
                eq((abs(wh - 2000 * length // 60) <= 1, quality), (True, 0))
        eq({row[1] for row in found}, {length})
        covered = found[-1][0] + 60 * found[-1][1] - UTC0
        assert 0 <= 3 * 3600 - covered < 3600 and covered % 900 == 300, covered
        eq(sum(row[2] for row in found), 2000 * covered // 3600)


def longer_in_mid_interval():
    r = joined(interval_length=5)
    until(r, MIDNIGHT + 620)
    r.give(T_CONFIGURE, [EPOCH, 1, r.utc, [OBJ_INTERVAL_LENGTH, 60]])
    until(r, MIDNIGHT + 3 * 3600 + 5)
    found = [row for row in rows(r) if row[0] >= MIDNIGHT]
    contiguous(found)
    eq([((row[0] - MIDNIGHT) // 60, row[1]) for row in found],
       [(0, 5), (5, 5), (10, 5), (15, 15), (30, 30), (60, 60), (120, 60)])
    eq([row[2] for row in found[-2:]], [2000, 2000])
    eq({row[3] for row in found}, {0})


def shorter_in_mid_interval():
    r = joined(interval_length=60)
    until(r, MIDNIGHT + 620)
    r.give(T_CONFIGURE, [EPOCH, 1, r.utc, [OBJ_INTERVAL_LENGTH, 15]])
    until(r, MIDNIGHT + 2 * 3600 + 5)
    found = [row for row in rows(r) if row[0] >= MIDNIGHT]
    contiguous(found)
    eq([((row[0] - MIDNIGHT) // 60, row[1]) for row in found], [(0, 60), (60, 15), (75, 15), (90, 15), (105, 15)])


def longer_over_a_reboot():
    r = joined()
    until(r, MIDNIGHT + 1850)
    r.plan["interval_length"] = 60
    r.registered()
    r.boot()
    r.join()
    until(r, MIDNIGHT + 2 * 3600 + 5)
    found = [row for row in rows(r) if row[0] >= MIDNIGHT]
    contiguous(found)
    eq([((row[0] - MIDNIGHT) // 60, row[1]) for row in found], [(0, 15), (15, 15), (30, 30), (60, 60)])


def aligned_to_local_time():
    r = joined(interval_length=60, zone=330)  # India: the hour begins at half past, by UTC
    r.run(4 * 3600)
    found = rows(r)
    contiguous(found)
    eq({row[0] % 3600 for row in found[2:]}, {1800})


def zone_comes_later():
    r = joined(interval_length=60)
    r.run(3 * 3600)
    r.registered(interval_length=60, zone=330)
    r.run(4 * 3600)
    found = rows(r)
    contiguous(found)
    eq([row[1] for row in found if row[0] > UTC0 + 3 * 3600][:3], [30, 60, 60])


def short_ones_cost_few_writes():
    for length, most in ((1, 96), (5, 96), (15, 96)):
        r = joined(interval_length=length)
        until(r, MIDNIGHT + 5)
        writes = r.store.writes
        number = len(r.intervals)
        until(r, MIDNIGHT + DAY + 5)
        eq(len(r.intervals) - number, DAY // 60 // length)
        eq(r.gaps, [])
        # and those of midnight, the clock's floor, and where a segment of the journal ends in mid-batch
        assert r.store.writes - writes <= most + 2 + 4 + 12, (length, r.store.writes - writes)


def short_ones_wait_for_their_write():
    r = joined(interval_length=1)
    until(r, MIDNIGHT + 5)
    r.take()
    until(r, MIDNIGHT + 890)
    eq(r.take(T_INTERVAL), [])  # a number that a power cut would take back does not leave
    until(r, MIDNIGHT + 905)
    eq(len(r.take(T_INTERVAL)[0][4]), 15)


def power_cut_between_writes():
    r = joined(interval_length=1)
    until(r, MIDNIGHT + 905)
    r.ack_all()
    until(r, MIDNIGHT + 905 + 600)
    energy = r.device.readings[R_ENERGY_IMPORT]
    r.boot(RESET_POWER_ON)
    r.join()
    until(r, MIDNIGHT + 3605)
    found = [row for row in rows(r) if row[0] >= MIDNIGHT + 900]
    eq(found[0][0], MIDNIGHT + 900)
    eq(found[0][3], QUALITY_POWER_CUT | QUALITY_GAP)
    assert 300 <= found[0][2] <= energy, found[0]  # the energy is there, how it was spread is lost
    total = sum(row[2] for row in rows(r))
    assert 0 <= r.device.readings[R_ENERGY_IMPORT] - 5000 - total <= 40


def announced_power_cut_loses_no_interval():
    r = joined(interval_length=1)
    until(r, MIDNIGHT + 905 + 600)
    r.agent.last_gasp(r.now)
    r.agent.power_failed(r.now)
    r.boot(RESET_POWER_ON)
    r.join()
    until(r, MIDNIGHT + 3605)
    found = [row for row in rows(r) if row[0] >= MIDNIGHT]
    contiguous(found)
    eq({row[2] for row in found[15:24]}, {33, 34})


def thirty_days_on_the_device():
    r = joined(lease=604800)
    r.run(1000)
    r.ack_all()
    held = len(r.intervals)
    r.down()
    r.run(30 * DAY, beats=False)
    eq(len(r.agent.intervals.stream), 2880)
    eq(r.agent.intervals.stream.lost, 0)
    r.join()
    r.run(1200)
    eq(len(r.intervals) - held >= 2880, True)
    contiguous(rows(r))
    eq(r.gaps, [])


def clock_forward_within():
    r = joined()
    until(r, MIDNIGHT + 300)
    r.wall += 120
    r.agent.set_time(r.now, r.utc, CLOCK_EMD)
    until(r, MIDNIGHT + 1805)
    found = [row for row in rows(r) if row[0] >= MIDNIGHT]
    contiguous(found)
    eq([row[3] for row in found], [QUALITY_CLOCK, 0])
    assert abs(found[0][2] - 2000 * 780 // 3600) <= 1 and abs(found[1][2] - 500) <= 1


def clock_by_two_seconds():
    r = joined()
    until(r, MIDNIGHT + 300)
    r.wall += 2
    r.agent.set_time(r.now, r.utc, CLOCK_EMD)
    until(r, MIDNIGHT + 905)
    eq(rows(r)[-1][3], 0)


def clock_forward_over_a_boundary():
    r = joined()
    until(r, MIDNIGHT + 800)
    r.wall += 1200
    r.agent.set_time(r.now, r.utc, CLOCK_EMD)
    until(r, MIDNIGHT + 3605)
    found = [row for row in rows(r) if row[0] >= MIDNIGHT]
    eq([((row[0] - MIDNIGHT) // 60, row[3]) for row in found], [(0, QUALITY_CLOCK), (30, QUALITY_GAP), (45, 0)])
    eq(abs(sum(row[2] for row in found) - 2000 * 2400 // 3600) <= 2, True)


def clock_forward_by_days():
    r = joined(lease=604800)
    until(r, MIDNIGHT + 800)
    r.wall += 3 * DAY
    r.agent.set_time(r.now, r.utc, CLOCK_EMD)
    until(r, MIDNIGHT + 3 * DAY + 1805)
    found = [row for row in rows(r) if row[0] >= MIDNIGHT]
    eq([(row[0] - MIDNIGHT, row[3]) for row in found], [
        (0, QUALITY_CLOCK), (3 * DAY, QUALITY_GAP), (3 * DAY + 900, 0)])


def clock_back_over_a_boundary():
    r = joined()
    until(r, MIDNIGHT + 1000)
    r.wall -= 600
    r.agent.set_time(r.now, r.utc, CLOCK_EMD)
    until(r, MIDNIGHT + 2705)
    found = [row for row in rows(r) if row[0] >= MIDNIGHT]
    # the first quarter-hour is there twice, under two numbers, and the second one says what happened
    eq([((row[0] - MIDNIGHT) // 60, row[3]) for row in found], [(0, 0), (0, QUALITY_CLOCK), (15, 0), (30, 0)])
    assert abs(sum(row[2] for row in found) - 2000 * 3300 // 3600) <= 3


def time_that_was_there_before_is_flagged():
    r = joined()
    until(r, MIDNIGHT + 7200 + 100)
    r.wall -= 3600
    r.agent.set_time(r.now, r.utc, CLOCK_EMD)
    until(r, MIDNIGHT + 9005)
    found = rows(r)[-6:]
    eq([row[0] - MIDNIGHT for row in found], [3600, 4500, 5400, 6300, 7200, 8100])
    eq([row[3] for row in found], [QUALITY_CLOCK] * 4 + [0, 0])


def time_unknown_at_boot():
    r = joined()
    until(r, MIDNIGHT + 1805)
    r.ack_all()
    r.boot()
    r.run(4000, beats=False)  # no link: it counts, and does not know when
    r.join()
    until(r, MIDNIGHT + 2 * 3600 + 1805)
    found = [row for row in rows(r) if row[0] >= MIDNIGHT + 1800]
    eq(found[0][3] & (QUALITY_GAP | QUALITY_POWER_CUT), QUALITY_GAP | QUALITY_POWER_CUT)
    eq(found[1][3] & QUALITY_ESTIMATED, QUALITY_ESTIMATED)
    total = sum(row[2] for row in rows(r))
    assert 0 <= r.device.readings[R_ENERGY_IMPORT] - 5000 - total <= 510


def estimated_after_a_hard_cut():
    r = joined()
    until(r, MIDNIGHT + 100)
    r.device.counters.estimated = True
    r.boot(RESET_POWER_ON)
    r.join()
    r.device.counters.estimated = False  # the next checkpoint
    until(r, MIDNIGHT + 1805)
    found = [row for row in rows(r) if row[0] >= MIDNIGHT]
    eq([row[3] for row in found], [QUALITY_ESTIMATED | QUALITY_POWER_CUT, 0])


def daylight_saving_days():
    for change, after, quarters in ((3600, 120, 92), (3600, 0, 100)):  # at 01:00 UTC, from zone 60
        start = MIDNIGHT - (60 if after == 120 else 120) * 60
        zone = 60 if after == 120 else 120
        r = joined(zone=zone, zone_change=MIDNIGHT + change, zone_next=after if after else 60)
        until(r, start + 26 * 3600)
        second = MIDNIGHT + DAY - (after if after else 60) * 60
        eq([v[0] for v in registers(r)][:2], [start, second])
        eq(len([row for row in rows(r) if start <= row[0] < second]), quarters)


# --- registers at midnight --------------------------------------------------------------------------------------------


def one_each_midnight():
    r = joined(lease=604800)
    until(r, MIDNIGHT + 3 * DAY + 60)
    found = registers(r)
    eq([row[0] for row in found], [MIDNIGHT + n * DAY for n in range(4)])
    eq([row[2] for row in found], [0, 0, 0, 0])
    eq(found[1][1] - found[0][1], 48000)
    eq([row[5:] for row in found], [(40, 20)] * 4)


def peak_of_the_day():
    r = joined()
    until(r, MIDNIGHT + 3600)
    registers(r)
    r.device.readings[R_POWER] = 3300
    r.run(60)
    r.device.readings[R_POWER] = 1000
    until(r, MIDNIGHT + DAY + 60)
    _, _, _, peak, at, _, _ = registers(r)[0]
    eq(peak, 3300)
    assert 3600 <= at - MIDNIGHT <= 3660, at - MIDNIGHT
    until(r, MIDNIGHT + 2 * DAY + 60)
    eq(registers(r)[0][3], 1000)  # taken: a new day


def midnight_is_local():
    r = joined(zone=-300)
    until(r, MIDNIGHT + DAY)
    eq([row[0] for row in registers(r)], [MIDNIGHT + 5 * 3600])


def reboot_over_midnight():
    r = joined(lease=604800)
    until(r, MIDNIGHT - 600)
    energy = r.device.readings[R_ENERGY_IMPORT]
    r.boot(RESET_POWER_ON)
    r.wall += 3600
    r.join()
    r.run(60)
    found = registers(r)
    eq([row[:3] for row in found], [(MIDNIGHT, energy, QUALITY_POWER_CUT)])  # nothing was counted while it was off
    until(r, MIDNIGHT + DAY + 60)
    eq([row[0] for row in registers(r)], [MIDNIGHT + DAY])


def reboot_after_midnight():
    r = joined(lease=604800)
    until(r, MIDNIGHT + 60)
    eq(len(registers(r)), 1)
    for _ in range(3):
        r.boot()
        r.join()
        r.run(30)
    eq(registers(r), [])


def days_without_power():
    r = joined(lease=604800)
    until(r, MIDNIGHT - 600)
    r.boot(RESET_POWER_ON)
    r.wall += 4 * DAY
    r.join()
    r.run(60)
    found = registers(r)
    eq([(row[0], row[2] & QUALITY_GAP) for row in found], [(MIDNIGHT + 3 * DAY, QUALITY_GAP)])


def midnight_without_time():
    r = joined(lease=604800)
    until(r, MIDNIGHT - 600)
    r.boot()
    r.run(3600, beats=False)
    r.join()
    r.run(60)
    found = registers(r)
    eq([(row[0], row[2] & QUALITY_ESTIMATED) for row in found], [(MIDNIGHT, QUALITY_ESTIMATED)])


def clock_back_over_midnight():
    r = joined(lease=604800)
    until(r, MIDNIGHT + 300)
    r.wall -= 900
    r.agent.set_time(r.now, r.utc, CLOCK_EMD)
    until(r, MIDNIGHT + DAY + 60)
    found = registers(r)
    eq([row[0] for row in found], [MIDNIGHT, MIDNIGHT + DAY])
    eq(found[1][2], QUALITY_CLOCK)


def clock_forward_over_midnight():
    r = joined(lease=604800)
    until(r, MIDNIGHT - 300)
    r.wall += 900
    r.agent.set_time(r.now, r.utc, CLOCK_EMD)
    r.run(60)
    eq([(row[0], row[2]) for row in registers(r)], [(MIDNIGHT, QUALITY_CLOCK | QUALITY_ESTIMATED)])
    until(r, MIDNIGHT + DAY + 60)
    eq([row[0] for row in registers(r)], [MIDNIGHT + DAY])


def clock_wrong_by_weeks():
    r = joined(lease=604800)
    until(r, MIDNIGHT - 3600)
    true = r.wall
    r.wall += 40 * DAY
    r.agent.set_time(r.now, r.utc, CLOCK_EMD)
    r.run(60)
    r.wall = true + 60
    r.agent.set_time(r.now, r.utc, CLOCK_EMD)
    registers(r)
    until(r, MIDNIGHT + 60)
    eq([row[0] for row in registers(r)], [MIDNIGHT])


def cut(what, left):
    """`what`, until `left` calls are used up: then the power is gone."""
    def call(*arguments):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return what(*arguments)
    return call


def cut_between_record_and_event():
    """Each write of midnight cut: one message for the day, whatever was written."""
    for written in range(3):
        r = joined(lease=604800)
        until(r, MIDNIGHT - 2)
        r.ack_all()
        left = [written]
        put, extend = r.store.put, r.agent.events.stream._journal.extend

        r.store.put = cut(put, left)
        r.agent.events.stream._journal.extend = cut(extend, left)
        r.agent.intervals.stream._journal.extend = cut(r.agent.intervals.stream._journal.extend, left)
        try:
            r.run(4, beats=False)
        except KeyboardInterrupt:
            pass
        r.boot(RESET_POWER_ON)
        r.join()
        r.run(120)
        numbers = [n for n in r.events if profile.head(r.events[n], len(r.events[n])) == T_REGISTERS]
        found = [profile.decode(T_REGISTERS, r.events[n], len(r.events[n]))[1] for n in numbers]
        eq(found, [MIDNIGHT])


# --- outage and restore -----------------------------------------------------------------------------------------------


def alarms(r):
    return [(v[2], v[3], v[4]) for v in r.take(T_ALARM)]


def last_gasp_goes_first():
    r = joined()
    r.run(100)
    r.take()
    writes = r.store.writes
    r.agent.last_gasp(r.now)
    eq(r.store.writes, writes)  # nothing written before it
    kind, values, body = r.sent[-1]
    eq((kind, values[2:4]), (T_ALARM, [ALARM_OUTAGE, 1]))
    assert len(body) <= 16, len(body)
    eq(values[1], r.utc)
    r.agent.power_failed(r.now)
    eq(r.store.writes, writes + 1)


def last_gasp_with_a_full_window():
    r = joined()
    r.run(100)
    r.auto_ack = False
    for number in range(20):
        r.agent.alarm(r.now, ALARM_OVER_POWER, number & 1, number, 9)
    r.step()
    r.take()
    r.agent.last_gasp(r.now)
    eq(alarms(r), [(ALARM_OUTAGE, 1, 1)])


def last_gasp_without_room():
    """Flash refuses, and the RAM for what waits is full: no number is told that something else would get."""
    r = joined()
    r.run(100)
    r.fs.full = True
    for number in range(24):
        r.agent.alarm(r.now, ALARM_OVER_POWER, number & 1, number, 9)
    r.take()
    upcoming = r.agent.events.next
    r.agent.last_gasp(r.now)
    eq((r.take(T_ALARM), r.agent.events.next), ([], upcoming))


def gasp_kept(power_before=True):
    """One more life: the gasp was sent; `power_before`: it was kept as well."""
    r = joined()
    r.run(100)
    r.ack_all()
    r.agent.outage.gasps = True
    r.agent.last_gasp(r.now)
    if power_before:
        r.agent.power_failed(r.now)
    r.boot(RESET_POWER_ON)
    r.agent.outage.gasps = True
    r.wall += 1800
    return r


def outage_then_restore():
    r = gasp_kept()
    eq(alarms(r), [])
    r.join()
    r.run(200)
    found = alarms(r)
    eq([row[:2] for row in found if row[0] == ALARM_RESTORE], [(ALARM_RESTORE, 1)])
    assert 1800 <= found[-1][2] <= 1830, found
    numbers = sorted(r.events)
    eq(numbers, list(range(len(numbers))))
    codes = [profile.decode(T_ALARM, r.events[n], len(r.events[n]))[2] for n in numbers
             if profile.head(r.events[n], len(r.events[n])) == T_ALARM]
    eq(codes, [ALARM_OUTAGE, ALARM_RESTORE])


def gasp_heard_but_not_kept():
    """The EMD has the gasp under its number: the next boot says it again under that number, and goes on after it."""
    r = gasp_kept(False)
    gasp = max(r.events)
    del r.events[gasp]  # the bench insists that a number means one thing: the EMD keeps whichever came first
    r.join()
    r.run(200)
    kinds = {}
    for n in r.events:
        if profile.head(r.events[n], len(r.events[n])) == T_ALARM:
            kinds[n] = profile.decode(T_ALARM, r.events[n], len(r.events[n]))[2]
    eq(kinds, {gasp: ALARM_OUTAGE, gasp + 1: ALARM_RESTORE})


def lost_twice_before_the_restore():
    r = joined(jitter=3600)
    r.run(100)
    r.ack_all()
    r.agent.outage.gasps = True
    first = r.agent.events.next
    r.agent.last_gasp(r.now)
    r.agent.power_failed(r.now)
    r.boot(RESET_POWER_ON)
    r.agent.outage.gasps = True
    r.step()
    r.agent.last_gasp(r.now)  # not kept: number first + 1 is used up all the same
    r.boot(RESET_POWER_ON)
    r.agent.outage.gasps = True
    r.step()
    eq(r.agent.events.next, first + 2)


def no_input_no_outage():
    r = joined()
    r.run(100)
    r.ack_all()
    r.boot(RESET_POWER_ON)
    r.join()
    r.run(300)
    eq([row[:2] for row in alarms(r)], [(ALARM_RESTORE, 1)])


def not_at_first_and_not_at_a_warm_start():
    r = Rig(reset=RESET_POWER_ON)
    r.join()
    r.run(300)
    eq(alarms(r), [])
    r.boot()
    r.join()
    r.run(300)
    eq(alarms(r), [])


def restore_is_spread():
    delays = set()
    for boot in range(8):
        r = joined(jitter=600)
        r.run(70)
        r.ack_all()
        r.boot_count += boot
        r.boot(RESET_POWER_ON)
        r.join()
        key = bytes((0, 0, 0, r.boot_count)) + b"o"
        due = profile.jitter(r.agent.identity.eui64, key, 600)
        r.run(due - 2 if due > 2 else 0)
        eq([row for row in alarms(r) if row[0] == ALARM_RESTORE], [])
        r.run(8)
        eq(len([row for row in alarms(r) if row[0] == ALARM_RESTORE]), 1)
        delays.add(due)
    assert len(delays) > 4


def restore_without_a_clock():
    r = gasp_kept()
    r.run(100, beats=False)
    eq(len(r.agent.events.stream), 1)  # waits for the time
    r.run(60, beats=False)
    eq(len(r.agent.events.stream), 2)
    r.join()
    r.run(10)
    eq([row for row in alarms(r) if row[0] == ALARM_RESTORE], [(ALARM_RESTORE, 1, None)])


def brown_out_within_the_hold_up():
    r = joined()
    r.run(100)
    r.ack_all()
    r.take()
    r.agent.last_gasp(r.now)
    r.agent.power_failed(r.now)
    r.run(2, beats=False)
    r.agent.power_back(r.now)
    r.run(5)
    eq(alarms(r), [(ALARM_OUTAGE, 1, 1), (ALARM_RESTORE, 1, 2)])
    numbers = sorted(r.events)
    eq(numbers, list(range(len(numbers))))


def flickering_all_day():
    r = joined()
    r.run(100)
    r.ack_all()
    writes = r.store.writes
    for _ in range(300):
        r.agent.last_gasp(r.now)
        r.agent.power_failed(r.now)
        r.agent.power_back(r.now)
        r.run(30)
    assert r.store.writes - writes <= 50 * 2 + 12, r.store.writes - writes
    found = alarms(r)
    eq((len([row for row in found if row[0] == ALARM_OUTAGE]), found[-1][0]), (50, ALARM_RESTORE))
    until(r, r.utc + DAY)
    r.agent.last_gasp(r.now)
    eq(len(alarms(r)), 1)


def nothing_leaves_between_gasp_and_write():
    r = joined()
    r.run(100)
    r.ack_all()
    r.take()
    writes = r.store.writes
    r.agent.last_gasp(r.now)
    r.sent = []
    r.step()
    eq([row[0] for row in r.sent if row[0] == T_ALARM], [])
    eq(r.store.writes, writes)


def gasp_not_for_who_gets_no_alarms():
    house = House(({}, {}), ({}, {"data": ["interval"]})).join()
    house.run(60)
    for hand in house.hands:
        hand.take()
    house.agent.last_gasp(house.now)
    eq([len(hand.take(T_ALARM)) for hand in house.hands], [1, 0])


def alarms_before_the_gasp_s_number():
    """What is raised at the very start comes after the outage, whose number is taken first."""
    r = gasp_kept(False)
    gasp = max(r.events)
    r.agent.alarm(0, ALARM_CRASH, 1, 3)
    eq(r.agent.events.next, gasp + 2)


# --- log, crash, calibration, objects ---------------------------------------------------------------------------------


def read_log(r, first, record=RECORD_LOG, id=9):
    r.give(T_READ_LOG, [EPOCH, id, r.utc, record, first])
    return r.take(T_LOG)


def log_in_parts():
    r = joined()
    for number in range(30):
        r.log.warn("bench.line", number, -number)  # noqa: PLE1205
    first = 0
    text = ""
    for _ in range(40):
        ((id, record, boot, got, following, part),) = read_log(r, first)
        eq((id, record, boot, got), (9, RECORD_LOG, 1, first))
        assert len(part) <= 180
        if following == first:
            break
        text += part
        first = following
    lines = [line for line in text.split("\n") if "bench.line" in line]
    eq(len(lines), 30)
    eq(lines[7].split()[-3:], ["bench.line", "7", "-7"])


def log_that_was_overwritten():
    r = joined()
    for number in range(200):
        r.log.warn("bench.line", number)  # noqa: PLE1205
    ((_, _, _, first, following, _),) = read_log(r, 3)
    assert first >= 136 and following > first, (first, following)


def crash_record():
    r = joined()
    eq(read_log(r, 0, RECORD_CRASH), [])
    eq(r.take(T_ANSWER)[-1][:3], [T_READ_LOG, REASON_UNKNOWN_ID, 9])
    asked = []
    text = b"boot 3 up 77\n" + b"x" * 300 + b"\nfile \xc3\xa4\n" + b"ValueError: nonsense\n" * 12

    def crash(read):
        asked.append(read)
        return text

    r.agent.crash = crash
    first, parts = 0, []
    for _ in range(20):
        ((_, record, _, got, following, part),) = read_log(r, first, RECORD_CRASH)
        eq((record, got), (RECORD_CRASH, first))
        assert len(part) <= 180
        if following == first:
            break
        parts.append(part)
        first = following
    lines = "".join(parts).split("\n")
    eq((lines[0], lines[1], lines[2]), ("boot 3 up 77", "x" * 179, "file ??"))
    eq(len(lines), 16)
    eq((asked[-1], asked.count(True)), (True, 1))  # it is told that all of it is there


def log_not_for_a_utility():
    house = House(({}, {}), ({}, {"data": ["telemetry", "interval", "alarm"]})).join()
    utility = house.hands[1]
    utility.take()
    utility.give(T_READ_LOG, [utility.epoch, 1, utility.utc, RECORD_LOG, 0])
    eq(utility.take(T_LOG), [])
    eq(utility.take(T_ANSWER)[-1][:3], [T_READ_LOG, REASON_NOT_SUPPORTED, 1])
    utility.give(T_CALIBRATE, [utility.epoch, 2, utility.utc, 10, 23010, None, None])
    eq(utility.take(T_ANSWER)[-1][:3], [T_CALIBRATE, REASON_NOT_SUPPORTED, 2])
    utility.give(T_CONFIGURE, [utility.epoch, 3, utility.utc, [OBJ_LOG_LEVEL, 0]])
    eq(utility.take(T_ANSWER)[-1][:3], [T_CONFIGURE, REASON_UNKNOWN_ID, 3])
    eq(house.device.calibrations, [])


def log_where_the_household_agrees():
    house = House(({}, {}), ({}, {"data": ["log"]})).join()
    utility = house.hands[1]
    utility.give(T_READ_LOG, [utility.epoch, 1, utility.utc, RECORD_LOG, 0])
    eq(len(utility.take(T_LOG)), 1)


def calibrate(r, id=5, issued=None, seconds=10, truth=(23010, None, 20015)):
    r.give(T_CALIBRATE, [EPOCH, id, r.utc if issued is None else issued, seconds] + list(truth))
    return [v[1:3] for v in r.take(T_ANSWER) if v[0] == T_CALIBRATE]


def calibration():
    r = joined()
    r.run(60)
    issued = r.utc
    eq(calibrate(r), [])  # it runs
    eq(r.device.calibrations, [(r.now, 5, 23010, ABSENT, 20015, 10)])
    r.run(5)
    eq(calibrate(r, issued=issued), [])  # a repetition changes nothing
    eq(calibrate(r, id=6), [[REASON_BUSY, 6]])
    eq(len(r.device.calibrations), 1)


def calibration_ends():
    for outcome in (REASON_NONE, REASON_OUT_OF_RANGE):
        r = joined()
        issued = r.utc
        calibrate(r)
        r.device.on_calibrated(r.now + 10, 5, outcome)
        eq([v[1:3] for v in r.take(T_ANSWER)], [[outcome, 5]])
        eq(calibrate(r, issued=issued), [[outcome, 5]])  # asked again, since the answer was lost: not done again
        eq(len(r.device.calibrations), 1)
        eq(calibrate(r, id=7), [])  # the next one
        eq(len(r.device.calibrations), 2)


def calibration_refused():
    r = joined()
    eq(calibrate(r, truth=(None, None, None)), [[REASON_MISSING_FIELD, 5]])
    eq(calibrate(r, id=6, issued=r.utc - 121), [[REASON_ENDED, 6]])
    r.device.calibrate_reason = REASON_NOT_SUPPORTED
    eq(calibrate(r, id=7), [[REASON_NOT_SUPPORTED, 7]])
    eq(calibrate(r, id=7), [[REASON_NOT_SUPPORTED, 7]])
    eq(len(r.device.calibrations), 1)


def objects_of_the_agent():
    r = joined()
    r.run(77)
    r.agent.own[OBJ_HEAP_FREE] = lambda now_s: 123456
    r.give(T_READ, [EPOCH, 4, r.utc, [OBJ_BOOTS, OBJ_UPTIME, OBJ_HEAP_FREE, OBJ_LOG_LEVEL, 200]])
    r.step()
    eq(r.take(T_READ_RESPONSE)[0][4], [OBJ_BOOTS, 1, OBJ_UPTIME, r.now, OBJ_HEAP_FREE, 123456, OBJ_LOG_LEVEL, 1])


def log_level():
    r = joined()
    r.give(T_CONFIGURE, [EPOCH, 1, r.utc, [OBJ_LOG_LEVEL, 0]])
    eq((r.take(T_ANSWER)[-1][1], r.log.level), (REASON_NONE, 0))
    r.give(T_CONFIGURE, [EPOCH, 2, r.utc, [OBJ_LOG_LEVEL, 3, 200, 1]])
    assert r.take(T_ANSWER)[-1][1] != REASON_NONE
    eq(r.log.level, 0)  # all or none
    r.give(T_CONFIGURE, [EPOCH, 3, r.utc, [OBJ_LOG_LEVEL, 4]])
    eq((r.take(T_ANSWER)[-1][1], r.log.level), (REASON_OUT_OF_RANGE, 0))


def restart():
    r = joined()
    r.give(T_CONFIGURE, [EPOCH, 1, r.utc, [OBJ_RESTART, 1]])
    eq(r.take(T_ANSWER)[-1][1], REASON_NOT_SUPPORTED)
    wanted = []
    r.agent.on_restart = lambda now_s, how: wanted.append((how, len(r.take(T_ANSWER))))
    r.give(T_CONFIGURE, [EPOCH, 2, r.utc, [OBJ_RESTART, 1]])
    eq(wanted, [(1, 1)])  # answered first
    r.give(T_CONFIGURE, [EPOCH, 2, r.utc, [OBJ_RESTART, 1]])
    r.give(T_CONFIGURE, [EPOCH, 3, r.utc, [OBJ_RESTART, 1, 200, 1]])
    r.give(T_CONFIGURE, [EPOCH, 4, r.utc, [OBJ_RESTART, 3]])
    eq(len(wanted), 1)
    r.give(T_CONFIGURE, [EPOCH, 5, r.utc, [OBJ_SAFE_MODE, 0]])
    eq(wanted[1:], [(2, 4)])  # with the three answers before


def factory_reset():
    r = joined()
    r.command(1, KIND_OFF)
    r.agent.factory_reset(r.now)
    eq(r.agent.plan.epoch, ABSENT)
    eq(r.agent.control.ledger.live, 0)
    r.registered()
    eq(r.agent.plan.epoch, ABSENT)  # it has left


# --- forecast ---------------------------------------------------------------------------------------------------------


class Pump(FakeDevice):
    series = [1000] * 24

    def forecast(self, now_s, utc):
        return self.series


def pump():
    Pump.series = [1000] * 24
    r = Rig(Pump(), profile=PROFILE_HEAT_PUMP)
    return r.join()


def forecast_each_hour():
    r = pump()
    eq(r.take(T_REGISTER)[0][11] & SERVICE_FORECAST, SERVICE_FORECAST)
    r.run(4 * 3600)
    found = r.take(T_FORECAST)
    eq(len(found), 5)
    for n, row in enumerate(found):
        eq((row[0], row[1] % 3600, row[2], row[3], list(row[4])), (n + 1, 0, 60, 0, [1000] * 24))


def forecast_that_changes():
    r = pump()
    r.run(1300)
    eq(len(r.take(T_FORECAST)), 2)
    Pump.series = [1010] * 24
    r.run(901)
    eq(r.take(T_FORECAST), [])
    Pump.series = [1400] * 24
    r.run(901)
    eq(len(r.take(T_FORECAST)), 1)


def no_forecast():
    r = Rig().join()
    eq(r.take(T_REGISTER)[0][11] & SERVICE_FORECAST, 0)
    r = pump()
    r.take()
    Pump.series = None
    r.run(7200)
    eq(r.take(T_FORECAST), [])


# --- measured response ------------------------------------------------------------------------------------------------


def ended(r, id):
    """(state, energy, without, response) of the latest status of a command."""
    return [(v[3], v[8], v[9], v[10]) for v in r.take(T_STATUS) if v[1] == id][-1]


def measured_while_displaced():
    r = joined()
    r.command(1, KIND_OFF, priority=5, duration=3600)
    r.run(900)
    r.command(2, KIND_ON, priority=9, duration=900)
    r.run(1800)
    r.ack_all()
    state, energy, without, response = ended(r, 2)
    eq((state, abs(energy - 500) <= 1, abs(without - 450) <= 1, response), (STATE_COMPLETED, True, True, 0))
    r.run(1000)
    state, energy, without, response = ended(r, 1)
    eq((state, response), (STATE_COMPLETED, 0))
    assert abs(energy - 500) <= 1 and abs(without - 1800) <= 1, (energy, without)  # all that was used while it lived


def measured_displaced_over_a_reboot():
    r = joined()
    r.command(1, KIND_OFF, priority=5, duration=3600)
    r.run(900)
    r.command(2, KIND_ON, priority=9, duration=900)
    r.run(600)
    r.boot()
    r.join()
    r.run(2300)
    state, energy, without, response = ended(r, 1)
    eq((state, response), (STATE_COMPLETED, 0))
    # what the register counts is whole; the estimate loses what was not written yet, 15 minutes at most: 10 here
    assert abs(energy - 500) <= 1 and 1500 <= without <= 1800, (energy, without)


def measured_of_a_heat_pump():
    device = FakeDevice()
    device.kinds = (KIND_SG_READY, KIND_LIMIT)
    r = joined(device=device)
    r.command(1, KIND_LIMIT, 700, duration=1800)
    r.run(1810)
    state, energy, without, response = ended(r, 1)
    eq((state, energy, without, response), (STATE_COMPLETED, 350, 900, 0))


CASES = (
    ("Energy and response of a command that was displaced and resumed", measured_while_displaced),
    ("And over a reboot in between", measured_displaced_over_a_reboot),
    ("Of a device that reduces", measured_of_a_heat_pump),
    ("Intervals of 1, 5, 15, 30, 60 minutes; others are refused, and the length before stays", lengths_that_are_none),
    ("Every length is aligned to the wall clock, and loses nothing", every_length_is_aligned),
    ("A longer length in mid-interval: shorter ones lead to its first boundary", longer_in_mid_interval),
    ("A shorter length in mid-interval: what is open ends as it began", shorter_in_mid_interval),
    ("A longer length over a reboot: no interval reaches into another", longer_over_a_reboot),
    ("A zone of half an hour moves the boundaries of the hour", aligned_to_local_time),
    ("A zone that comes later lets no interval overlap", zone_comes_later),
    ("Short intervals cost as many writes as quarter-hours", short_ones_cost_few_writes),
    ("Short intervals leave when they are written", short_ones_wait_for_their_write),
    ("A power cut between two writes costs the spread, not the energy", power_cut_between_writes),
    ("An announced power cut costs not even that", announced_power_cut_loses_no_interval),
    ("Thirty days of quarter-hours are held and filled in", thirty_days_on_the_device),
    ("The clock goes forward within an interval: flagged", clock_forward_within),
    ("Two seconds are no correction", clock_by_two_seconds),
    ("The clock goes forward over a boundary: a gap, no energy lost", clock_forward_over_a_boundary),
    ("The clock goes forward by days", clock_forward_by_days),
    ("The clock goes back over a boundary: flagged, no energy lost", clock_back_over_a_boundary),
    ("Time that was there before is flagged", time_that_was_there_before_is_flagged),
    ("Time unknown at boot: energy is told as estimated", time_unknown_at_boot),
    ("A hard power cut makes its interval estimated", estimated_after_a_hard_cut),
    ("Days of 23 and 25 hours have 92 and 100 quarter-hours and one midnight", daylight_saving_days),
    ("Registers at each midnight", one_each_midnight),
    ("With the day's largest power and its time", peak_of_the_day),
    ("Midnight is that of the zone", midnight_is_local),
    ("A reboot over midnight: one message, the registers of then", reboot_over_midnight),
    ("Reboots after midnight say it no second time", reboot_after_midnight),
    ("Days without power are a gap", days_without_power),
    ("Midnight passed without time: estimated", midnight_without_time),
    ("The clock goes back over midnight: still one", clock_back_over_midnight),
    ("The clock goes forward over midnight: one, flagged", clock_forward_over_midnight),
    ("A clock that was wrong by weeks costs no midnight", clock_wrong_by_weeks),
    ("A power cut at each write of midnight: one message", cut_between_record_and_event),
    ("The last gasp goes first, in 16 octets, nothing written before it", last_gasp_goes_first),
    ("A full window does not hold it up", last_gasp_with_a_full_window),
    ("It takes no number that another event would get", last_gasp_without_room),
    ("After an outage: restore, with its length", outage_then_restore),
    ("A gasp that was heard but not kept uses up its number", gasp_heard_but_not_kept),
    ("Power lost twice before the restore: two numbers", lost_twice_before_the_restore),
    ("A board without the input tells the restore alone", no_input_no_outage),
    ("No restore at the first start, nor at a warm one", not_at_first_and_not_at_a_warm_start),
    ("Restores are spread by the boot count", restore_is_spread),
    ("A restore waits two minutes for the time", restore_without_a_clock),
    ("A brown-out within the hold-up: outage and restore", brown_out_within_the_hold_up),
    ("A mains that flickers all day does not wear the flash", flickering_all_day),
    ("Between the gasp and its write nothing leaves", nothing_leaves_between_gasp_and_write),
    ("Who gets no alarms gets no gasp", gasp_not_for_who_gets_no_alarms),
    ("What is raised at the start comes after the outage", alarms_before_the_gasp_s_number),
    ("The log is read in parts", log_in_parts),
    ("What the ring has overwritten shows in the numbers", log_that_was_overwritten),
    ("The record of a crash, line by line", crash_record),
    ("Log, calibration and service are not for a utility", log_not_for_a_utility),
    ("But where the household agrees", log_where_the_household_agrees),
    ("A calibration runs once, whoever repeats it", calibration),
    ("Its answer comes when it is over, and again", calibration_ends),
    ("Refused: nothing to compare, too old, not of this device", calibration_refused),
    ("Objects of the agent's own", objects_of_the_agent),
    ("The level of the log", log_level),
    ("A restart is answered first, and only wanted once", restart),
    ("A factory reset takes leave of the EMD", factory_reset),
    ("A forecast each hour", forecast_each_hour),
    ("A forecast that changes is told before", forecast_that_changes),
    ("No forecast of a device that has none", no_forecast),
)


def run():
    """Runs all cases; [(sentence, error)] of those that failed. For MicroPython, which has no pytest."""
    failed = []
    for sentence, case in CASES:
        try:
            case()
        except Exception as error:
            failed.append((sentence, repr(error)))
    return failed
