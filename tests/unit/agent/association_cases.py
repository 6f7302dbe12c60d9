"""The rules across associations as cases: (a sentence, a function that shows it on a bench with two EMDs).

Runs on CPython and on MicroPython. The sentences follow docs/profile.md, "Rules" and section 14.
"""

from array import array

from agent_cases import applied, eq
from agent_rig import UTC0, Rig
from association_rig import House

from spot.agent import registration as reg
from spot.codes import (
    ABSENT,
    AFTER_PREVIOUS,
    ALARM_MESSAGES_REFUSED,
    ALARM_OVER_POWER,
    ALARM_STORE_FAULT,
    CH_PRICE,
    DECIDER_AUTONOMOUS,
    DECIDER_DEFAULT,
    DECIDER_FAILSAFE,
    DECIDER_LIMIT,
    DECIDER_LOCAL_POLICY,
    DECIDER_OVERRIDE,
    DECIDER_SET_POINT,
    DECIDER_TRIP,
    KIND_BOOST,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_OFF,
    KIND_OFFSET,
    KIND_ON,
    KIND_REVOKE,
    KIND_SHUTDOWN,
    KIND_UNLIMITED,
    MODE_AUTONOMOUS,
    MODE_CONTROLLED,
    MODE_FAILSAFE,
    MODE_INIT,
    OBJ_COMFORT_LOW,
    OBJ_ENERGY_IMPORT,
    OBJ_INTERVAL_LENGTH,
    OBJ_LEDGER,
    OBJ_POWER_LIMIT,
    OBJ_RELAY,
    POLICY_THRESHOLD,
    R_POWER,
    REASON_CAPPED,
    REASON_FAILSAFE,
    REASON_JITTER,
    REASON_NO_TIME,
    REASON_NONE,
    REASON_OUTRANKED,
    REASON_OVERRIDE,
    REASON_PRIORITY,
    REASON_PROTECTION,
    REASON_RESTARTED,
    REASON_REVOKED,
    REASON_STORE_FULL,
    REASON_UNKNOWN_ID,
    REASON_WRONG_EPOCH,
    RESET_POWER_ON,
    SERVICE_INTERVAL,
    STATE_ABORTED,
    STATE_CANCELLED,
    STATE_COMPLETED,
    STATE_OPTED_IN,
    STATE_OPTED_OUT,
    STATE_PARTLY,
    STATE_RECEIVED,
    STATE_REJECTED,
    STATE_STARTED,
    STATE_SUPERSEDED,
    STATE_WAITING,
    T_ALARM,
    T_ANSWER,
    T_CONFIGURE,
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
)
from spot.wire import profile

ALL = ["telemetry", "interval", "alarm"]


def both(**given):
    """(house, home, utility), both associated."""
    house = House(**given).join()
    return house, house.home, house.utility


def controlled(**given):
    """As both(), and each EMD has said "unlimited" for a day."""
    house, home, utility = both(**given)
    for hand in (home, utility):
        hand.command(1000, KIND_UNLIMITED, duration=86400)
    house.run(1)
    house.step()
    for hand in (home, utility):
        hand.take()
        eq(hand.seat.lease.mode, MODE_CONTROLLED)
    return house, home, utility


def modes(house):
    return tuple([hand.seat.lease.mode for hand in house.hands])


def latest(hand, id):
    """(state, reason) of the latest status of a command; its other statuses are taken, too."""
    found = [row[1:] for row in hand.statuses() if row[0] == id]
    return found[-1] if found else None


def live(hand):
    return [(e.id, e.revision) for e in hand.seat.ledger.rows if e.phase != 2]


# --- limits -----------------------------------------------------------------------------------------------------------


def least_of_both():
    house, home, utility = both()
    home.command(1, KIND_LIMIT, 1500)
    eq(applied(house), (ABSENT, ABSENT, 1500, DECIDER_LIMIT))
    utility.command(2, KIND_LIMIT, 700, priority=0, duration=60)
    eq(applied(house)[2], 700)
    home.command(3, KIND_LIMIT, 900, priority=15)
    eq(applied(house)[2], 700)
    house.run(61)
    eq(applied(house)[2], 900)  # theirs is over, ours held all the while


def percent_of_the_other():
    house, home, utility = both()
    home.command(1, KIND_LIMIT_PERCENT, 50)
    utility.command(1, KIND_LIMIT, 1100)
    eq(applied(house)[2], 1000)


def capped_is_said():
    house, home, utility = both()
    home.command(1, KIND_LIMIT, 1500)
    utility.command(1, KIND_LIMIT, 700)
    house.step()
    eq(latest(home, 1), (STATE_STARTED, REASON_CAPPED))
    eq(latest(utility, 1), (STATE_STARTED, REASON_NONE))


def own_unlimited_only():
    house, home, utility = both()
    home.command(1, KIND_LIMIT, 700)
    utility.command(2, KIND_LIMIT, 900)
    house.run(2)
    home.command(3, KIND_UNLIMITED)
    house.step()
    eq(applied(house)[2], 900)
    eq(latest(home, 1), (STATE_SUPERSEDED, REASON_OUTRANKED))
    eq(live(utility), [(2, 0)])
    eq([s for s in utility.statuses() if s[1] == STATE_SUPERSEDED], [])
    utility.command(4, KIND_UNLIMITED, issued=utility.utc + 1)
    eq(applied(house)[2], ABSENT)


# --- set-points -------------------------------------------------------------------------------------------------------


def higher_priority():
    house, home, utility = both()
    home.command(1, KIND_BOOST, priority=5, duration=600)
    house.run(5)
    utility.command(1, KIND_OFF, priority=6, duration=60)
    eq(applied(house)[0], KIND_OFF)
    house.step()
    eq(latest(home, 1), (STATE_WAITING, REASON_OUTRANKED))
    eq(latest(utility, 1), (STATE_STARTED, REASON_NONE))
    house.run(61)
    eq(applied(house)[0], KIND_BOOST)  # displaced, live: it resumes
    eq(latest(home, 1), (STATE_STARTED, REASON_NONE))


def later_issue():
    for first in (0, 1):
        house, home, utility = both()
        one, two = house.hands[first], house.hands[1 - first]
        issued = house.home.utc
        house.run(10)
        two.command(1, KIND_OFFSET, 200)
        one.command(9, KIND_BOOST, issued=issued)  # overtaken on its way, with a higher id
        eq(applied(house)[0], KIND_OFFSET)
        house.step()
        eq(latest(one, 9), (STATE_WAITING, REASON_OUTRANKED))


def same_second():
    for order in ((0, 1), (1, 0)):
        house, home, utility = both()
        kinds = (KIND_BOOST, KIND_OFFSET)
        for at in order:
            house.hands[at].command(1 + 8 * at, kinds[at], 100 if at else None)  # theirs has the higher id
        eq(applied(house)[0], KIND_BOOST)  # home's


def ceiling():
    house, home, utility = both(plans=({}, {"priority_ceiling": 6}))
    utility.command(1, KIND_OFF, priority=7)
    home.command(1, KIND_BOOST, priority=7)
    house.step()
    eq(utility.statuses(), [(1, STATE_REJECTED, REASON_PRIORITY)])
    eq(applied(house)[0], KIND_BOOST)
    utility.command(2, KIND_OFF, priority=6, issued=utility.utc + 1)
    eq(applied(house)[0], KIND_BOOST)


def provisioned_ceiling():
    house, home, utility = both(
        plans=({}, {"priority_ceiling": 9}), configs=({}, {"agent": {"priority_ceiling": 4}})
    )
    utility.command(1, KIND_OFF, priority=5)
    house.step()
    eq(utility.statuses(), [(1, STATE_REJECTED, REASON_PRIORITY)])  # what the EMD says lifts nothing
    utility.command(2, KIND_OFF, priority=4)
    house.boot()
    eq(utility.seat.plan.priority_ceiling, 4)
    utility.plan["priority_ceiling"] = 2
    house.join()
    eq(utility.seat.plan.priority_ceiling, 2)  # but it may say less


def lowered_ceiling():
    house, home, utility = both()
    utility.command(1, KIND_OFF, priority=9)
    home.command(1, KIND_BOOST, priority=7)
    eq(applied(house)[0], KIND_OFF)
    utility.registered(priority_ceiling=5)  # from now on it counts as 5
    eq(applied(house)[0], KIND_BOOST)


def capped_by_the_other():
    house, home, utility = both()
    home.command(1, KIND_ON, priority=9)
    utility.command(1, KIND_LIMIT, 800, priority=0)
    eq(applied(house), (KIND_ON, ABSENT, 800, DECIDER_LIMIT))
    house.step()
    eq(latest(home, 1), (STATE_PARTLY, REASON_CAPPED))
    eq(latest(utility, 1), (STATE_STARTED, REASON_NONE))


# --- identity ---------------------------------------------------------------------------------------------------------


def same_ids():
    house, home, utility = both(epochs=(77, 77))
    home.command(1, KIND_LIMIT, 700)
    utility.command(1, KIND_LIMIT, 900)  # the same epoch, id and revision: another command
    eq((live(home), live(utility)), ([(1, 0)], [(1, 0)]))
    eq(applied(house)[2], 700)
    home.command(1, KIND_LIMIT, 700)
    eq([len(hand.seat.ledger.rows) for hand in house.hands], [1, 1])
    home.command(1, KIND_REVOKE)
    eq((live(home), live(utility)), ([], [(1, 0)]))
    eq(applied(house)[2], 900)
    utility.command(1, KIND_LIMIT, 300, revision=1)
    eq(applied(house)[2], 300)
    home.command(1, KIND_LIMIT, 100)  # its own tombstone holds
    eq(applied(house)[2], 300)


def other_s_revoke():
    house, home, utility = both()
    home.command(5, KIND_OFF)
    utility.command(5, KIND_REVOKE)
    utility.command(5, KIND_REVOKE, epoch=home.epoch)  # nor by its epoch
    eq(applied(house)[0], KIND_OFF)
    eq(live(home), [(5, 0)])
    house.step()
    eq([s for s in home.statuses() if s[1] == STATE_CANCELLED], [])
    eq(utility.statuses()[-1], (5, STATE_CANCELLED, REASON_REVOKED))


def statuses_to_the_issuer():
    house, home, utility = both()
    home.command(1, KIND_LIMIT, 900)
    utility.command(2, KIND_OFF, duration=60)
    house.run(120)
    eq({row[0] for row in home.statuses()}, {1})
    eq({row[0] for row in utility.statuses()}, {2})
    eq((home.take(T_STATUS), sorted(home.events)), ([], [0, 1]))  # numbered apart
    eq(sorted(utility.events), [0, 1, 2])


def new_epoch_of_one():
    house, home, utility = controlled()
    home.command(1, KIND_LIMIT, 900)
    utility.command(1, KIND_OFF)
    utility.epoch += 1
    utility.registered()
    house.step()
    eq(applied(house), (ABSENT, ABSENT, 900, DECIDER_LIMIT))
    eq(modes(house), (MODE_CONTROLLED, MODE_INIT))
    eq([s for s in utility.statuses() if s[0] == 1][-1], (1, STATE_SUPERSEDED, REASON_WRONG_EPOCH))
    eq(live(home), [(1000, 0), (1, 0)])
    eq([s for s in home.statuses() if s[1] == STATE_SUPERSEDED], [])


def leave_one():
    house, home, utility = controlled()
    home.command(1, KIND_LIMIT, 900)
    utility.command(1, KIND_OFF)
    house.step()
    house.agent.leave(house.now, at=1)
    eq(applied(house), (ABSENT, ABSENT, 900, DECIDER_LIMIT))
    eq((len(utility.take(T_UNREGISTER)), len(home.take(T_UNREGISTER))), (1, 0))
    eq(live(home), [(1000, 0), (1, 0)])
    eq(home.seat.lease.mode, MODE_CONTROLLED)
    house.run(300)
    eq(utility.seat.registration.state, reg.LEFT)
    eq(home.seat.registration.joined, True)
    eq(applied(house)[2], 900)


def left_caps_nothing():
    house, home, utility = controlled(plans=({}, {"autonomous_cap": 400}))
    house.agent.leave(house.now, at=1)
    house.run(600)
    eq(modes(house), (MODE_CONTROLLED, MODE_AUTONOMOUS))
    eq(applied(house)[2], ABSENT)  # who is not there has nothing to protect while another EMD answers for the load
    home.link = False
    home.silent = True
    house.run(130)
    eq(modes(house), (MODE_FAILSAFE, MODE_AUTONOMOUS))
    eq(applied(house)[2], 400)


def lapse_of_one():
    house, home, utility = controlled(plans=({}, {"lease": 600}))
    home.command(1, KIND_LIMIT, 1200, duration=9000)
    utility.command(1, KIND_LIMIT, 800, duration=9000)
    utility.silent = True
    house.run(600)
    eq(modes(house), (MODE_CONTROLLED, MODE_INIT))
    eq(len(utility.take(T_REGISTER)) > 0, True)
    eq(home.take(T_REGISTER), [])
    eq(applied(house)[2], 800)  # a command holds to its own end
    utility.registered()  # it is there again, and knows what it said
    house.step()
    eq(live(utility), [(1000, 0), (1, 0)])


def reboot_with_both():
    house, home, utility = both()
    home.command(1, KIND_LIMIT, 900, duration=3600)
    utility.command(1, KIND_OFF, duration=1800)
    utility.command(2, KIND_BOOST, duration=1800, priority=1)
    house.run(60)
    house.boot()
    house.step()
    eq(applied(house), (KIND_OFF, ABSENT, 900, DECIDER_SET_POINT))  # without a time, from the first step on
    eq((live(home), live(utility)), ([(1, 0)], [(1, 0), (2, 0)]))
    house.join()
    utility.command(1, KIND_OFF, issued=UTC0, duration=1800)  # again
    eq(live(utility), [(1, 0), (2, 0)])
    house.run(1800)
    eq(applied(house), (ABSENT, ABSENT, 900, DECIDER_LIMIT))
    eq(latest(utility, 1), (STATE_COMPLETED, REASON_NONE))


def names_in_the_store():
    house, home, utility = both()
    home.command(1, KIND_LIMIT, 900)
    utility.command(1, KIND_LIMIT, 800)
    for hand in (home, utility):
        give_prices(hand)
    house.run(1000)
    names = house.store.names()
    for name in ("association", "ledger", "price"):
        assert name in names and "a1_" + name in names, names
    assert not [n for n in names if n[:2] == "a0"]
    files = [path[2:].split(".")[0] for path in house.fs.files if "." in path]
    eq(sorted(set(files)), ["a1_events", "a1_intervals", "events", "intervals"])


def flash_of_a_single_one():
    single = Rig().join()
    single.command(1, KIND_LIMIT, 700, duration=7200)
    single.run(1000)
    numbers = single.agent.events.next, single.agent.intervals.stream.end
    house = House()
    house.fs, house.wall = single.fs, single.wall
    house.boot()  # the same flash, and now there are two
    eq((house.home.seat.events.next, house.home.seat.intervals.stream.end), numbers)
    house.step()
    eq(live(house.home), [(1, 0)])
    eq(applied(house)[2], 700)
    eq(house.home.seat.plan.epoch, single.epoch)
    eq((house.utility.seat.plan.epoch, live(house.utility), house.utility.seat.events.next), (ABSENT, [], 0))
    house.only = 1
    house.boot()  # and back
    house.step()
    eq(applied(house)[2], 700)


# --- lease, failsafe, local policy ------------------------------------------------------------------------------------


def failsafe_of_one():
    house, home, utility = controlled(plans=({}, {"failsafe_limit": 600}))
    home.command(1, KIND_ON, duration=7000)
    utility.command(1, KIND_OFFSET, 100, duration=7000, priority=1)
    house.step()
    utility.silent = True
    house.run(130)
    eq(modes(house), (MODE_CONTROLLED, MODE_FAILSAFE))
    eq(applied(house), (KIND_ON, ABSENT, 600, DECIDER_FAILSAFE))
    eq(latest(home, 1), (STATE_PARTLY, REASON_CAPPED))  # nothing of the other's state
    home.command(2, KIND_LIMIT, 300)
    eq(applied(house)[2], 300)
    home.command(2, KIND_REVOKE)
    home.command(3, KIND_UNLIMITED, issued=home.utc + 1)
    eq(applied(house)[2], 600)  # and no "unlimited" lifts it
    home.command(1, KIND_REVOKE)
    house.step()
    eq(latest(utility, 1), (STATE_PARTLY, REASON_FAILSAFE))  # its own state


def heartbeats_say_their_own():
    house, home, utility = controlled()
    utility.silent = True
    house.run(190)
    eq(home.take(T_HEARTBEAT)[-1][4], MODE_CONTROLLED)
    eq(utility.take(T_HEARTBEAT)[-1][4], MODE_FAILSAFE)
    home.command(1, KIND_LIMIT, 900)
    eq(home.digest == utility.digest, False)
    house.run(120)
    eq(home.take(T_HEARTBEAT)[-1][2], home.digest)
    eq(utility.take(T_HEARTBEAT)[-1][2], utility.digest)


def cap_of_the_autonomous():
    house, home, utility = both(plans=({}, {"autonomous_cap": 1100}))
    home.command(1, KIND_UNLIMITED, duration=7000)
    house.run(130)
    eq(modes(house), (MODE_CONTROLLED, MODE_AUTONOMOUS))
    eq(applied(house), (ABSENT, ABSENT, 1100, DECIDER_AUTONOMOUS))
    utility.command(1, KIND_UNLIMITED)
    eq(applied(house)[2], ABSENT)


def never_associated():
    house = House(configs=({}, {"agent": {"autonomous_cap": 500}}))
    house.home.join()
    house.run(130)
    eq(applied(house)[2], 500)  # nobody controls: what is provisioned holds
    house.home.command(1, KIND_LIMIT, 1500)
    eq(modes(house), (MODE_CONTROLLED, MODE_AUTONOMOUS))
    eq(applied(house)[2], 1500)


def give_prices(hand, revision=1, series=None, start=UTC0, channel=CH_PRICE):
    hand.give(T_PRICE, [revision, start, 60, 0, array("h", series or [500] * 24)], channel)


_RULE = {"policy": POLICY_THRESHOLD, "policy_value": 10, "failsafe_limit": 600}


def local_policy_needs_all_gone():
    house, home, utility = both(plans=(_RULE, {}))
    give_prices(home)
    utility.command(1, KIND_UNLIMITED, duration=300)
    house.run(130)
    eq(modes(house), (MODE_AUTONOMOUS, MODE_CONTROLLED))
    eq(applied(house)[3], DECIDER_DEFAULT)  # one that controls knows better
    utility.silent = True
    house.run(120)
    eq(modes(house), (MODE_AUTONOMOUS, MODE_FAILSAFE))
    eq(applied(house)[0], KIND_OFF)  # the rule, while the other's cap holds as well
    eq(applied(house)[3], DECIDER_LOCAL_POLICY)
    eq(applied(house)[2], 1000)
    house.utility.silent = False
    house.run(60)
    utility.command(2, KIND_UNLIMITED)
    eq(applied(house)[3], DECIDER_DEFAULT)


def local_policy_over_init():
    house, home, utility = both(plans=(_RULE, {}))
    give_prices(home)
    house.run(130)
    eq(applied(house)[3], DECIDER_LOCAL_POLICY)
    utility.epoch += 1
    utility.registered()
    eq(modes(house), (MODE_AUTONOMOUS, MODE_INIT))
    eq(applied(house)[3], DECIDER_LOCAL_POLICY)  # nothing was said: the relay does not click for it


def policy_of_the_controlled():
    house, home, utility = both(plans=(_RULE, {}))
    give_prices(home)
    home.command(1, KIND_UNLIMITED, duration=9000)
    house.run(130)
    eq(modes(house), (MODE_CONTROLLED, MODE_AUTONOMOUS))
    eq(applied(house)[3], DECIDER_DEFAULT)
    house.run(3600)
    for _ in range(3):
        assert house.step() > 1  # and no rule that does not hold wakes the device
        house.run(house.step())


def prices_of_both():
    house, home, utility = both(plans=(_RULE, _RULE))
    give_prices(utility, 900, [1] * 24)
    give_prices(home, 5, [1] * 12)  # its own revisions
    eq((home.seat.policy.revision, utility.seat.policy.revision), (5, 900))
    house.run(130)
    eq(applied(house)[3], DECIDER_DEFAULT)
    give_prices(utility, 901)
    eq(applied(house)[3], DECIDER_LOCAL_POLICY)  # either asks to save: it does
    eq(len(home.seat.policy._series), 12)
    give_prices(utility, 902, [1] * 24)
    give_prices(home, 6)
    eq(applied(house)[3], DECIDER_LOCAL_POLICY)
    home.agent.receive(house.now, CH_PRICE, b"\x86", 1)
    eq((home.seat.refusals.count, utility.seat.refusals.count), (1, 0))


def prices_of_one_rule_of_the_other():
    house, home, utility = both(plans=(_RULE, {}))
    give_prices(utility)
    house.run(130)
    eq(applied(house)[3], DECIDER_DEFAULT)  # its rule follows its own EMD's prices


def groups_apart():
    house, home, utility = both()
    home.registered(groups=[1, 2])
    utility.registered(groups=[7])
    eq((home.seat.plan.groups, utility.seat.plan.groups), ([1, 2], [7]))
    house.boot()
    eq((home.seat.plan.groups, utility.seat.plan.groups), ([1, 2], [7]))


def link_of_one():
    house, home, utility = controlled()
    utility.down()
    house.run(60)
    home.command(1, KIND_LIMIT, 700)
    house.step()
    eq(latest(home, 1), (STATE_STARTED, REASON_NONE))
    eq(utility.take(), [])
    utility.up()
    house.step()
    eq((len(utility.take(T_LINK)), home.take(T_LINK)), (1, []))


def failsafe_spread_apart():
    house, home, utility = controlled(plans=({"jitter": 600}, {"jitter": 300, "failsafe_limit": 400}))
    for hand in (home, utility):
        hand.silent = True
    delays = []
    for hand in (home, utility):
        epoch = hand.epoch
        key = bytes((epoch >> 24 & 255, epoch >> 16 & 255, epoch >> 8 & 255, epoch & 255)) + b"f"
        delays.append(profile.jitter(house.agent.identity.eui64, key, hand.plan["jitter"]))
    assert delays[0] != delays[1]
    since = [hand.seat.lease.fresh_s + 120 + delays[hand.at] for hand in house.hands]
    for hand in sorted(house.hands, key=lambda hand: since[hand.at]):
        at = since[hand.at]
        if at > house.now:
            house.run(at - 1 - house.now)
            eq(hand.seat.lease.mode, MODE_CONTROLLED)
            house.run(1)
        eq(hand.seat.lease.mode, MODE_FAILSAFE)


def power_return_of_both():
    def power_return(windows):
        house = House(plans=({"jitter": windows[0]}, {"jitter": windows[1]}))
        house.join()
        house.device.moves.clear()
        house.boot(RESET_POWER_ON)
        house.step()
        eq(applied(house)[0], KIND_OFF)
        house.run(1000)
        return [move[0] for move in house.device.moves if move[1] != KIND_OFF][0]

    delays = [
        profile.jitter(b"\x02\x00\x00\xff\xfe\x00\x00\x01", b"\x00\x00\x00\x02b", window) for window in (700, 300)
    ]
    eq(power_return((700, 300)), max(delays))
    eq(power_return((300, 700)), max(delays))
    eq(power_return((0, 300)), delays[1])


# --- after ------------------------------------------------------------------------------------------------------------


def previous_is_one_s_own():
    house, home, utility = controlled()
    home.command(1, KIND_OFFSET, 300, priority=1, duration=60)
    utility.command(1, KIND_OFF, priority=9, duration=120, after=AFTER_PREVIOUS)
    house.run(121)
    eq(applied(house)[0], ABSENT)  # home's is over: the other's end does not bring it back
    home.command(2, KIND_OFFSET, 300, priority=1, duration=600)
    utility.command(2, KIND_OFF, priority=9, duration=120, after=AFTER_PREVIOUS)
    house.run(121)
    eq(applied(house)[:2], (KIND_OFFSET, 300))  # live: it resumes by itself


def previous_kept():
    house, home, utility = controlled()
    utility.command(1, KIND_OFFSET, 300, priority=1, duration=60)
    utility.command(2, KIND_OFF, priority=9, duration=120, after=AFTER_PREVIOUS)
    house.run(121)
    eq(applied(house), (KIND_OFFSET, 300, ABSENT, DECIDER_SET_POINT))
    home.epoch += 1
    home.registered()  # another one's new epoch takes nothing away
    eq(applied(house)[0], KIND_OFFSET)
    utility.silent = True
    house.run(130)
    eq(utility.seat.lease.mode, MODE_FAILSAFE)
    eq(applied(house)[0], ABSENT)  # never longer than its own EMD is there


def previous_left_behind():
    house, home, utility = controlled()
    utility.command(1, KIND_OFFSET, 300, priority=1, duration=60)
    utility.command(2, KIND_OFF, priority=9, duration=120, after=AFTER_PREVIOUS)
    house.run(121)
    home.command(3, KIND_BOOST, duration=60, after=AFTER_PREVIOUS)
    house.run(61)
    eq(applied(house)[0], ABSENT)  # what stood was another one's
    utility.command(4, KIND_OFFSET, 200, priority=1, duration=60)
    utility.command(5, KIND_OFF, priority=9, duration=120, after=AFTER_PREVIOUS)
    house.run(121)
    eq(applied(house)[0], KIND_OFFSET)
    house.agent.leave(house.now, at=1)
    eq(applied(house)[0], ABSENT)


# --- override, trips, flash -------------------------------------------------------------------------------------------


def override_to_whom_it_concerns():
    house, home, utility = controlled()
    home.command(1, KIND_OFF, priority=9)
    utility.command(1, KIND_OFFSET, 100, priority=3)
    house.step()
    for hand in (home, utility):
        hand.take()
    house.device.forced = DECIDER_OVERRIDE
    house.agent.override(house.now, True)
    house.step()
    eq(latest(home, 1), (STATE_OPTED_OUT, REASON_OVERRIDE))
    eq(utility.statuses(), [])  # its set-point waits as before
    home.command(1, KIND_REVOKE)
    house.step()
    eq(latest(utility, 1), (STATE_OPTED_OUT, REASON_OVERRIDE))
    house.device.forced = ABSENT
    house.agent.override(house.now, False)
    house.step()
    eq(latest(utility, 1), (STATE_OPTED_IN, REASON_NONE))


def trip_aborts_both():
    house, home, utility = controlled()
    home.command(1, KIND_ON, priority=9)
    utility.command(1, KIND_BOOST, priority=3)
    utility.command(2, KIND_SHUTDOWN, priority=1)
    house.step()
    for hand in (home, utility):
        hand.take()
    house.device.forced = DECIDER_TRIP
    house.agent.control.settle(house.now)
    house.run(5)
    eq(home.statuses(), [(1, STATE_ABORTED, REASON_PROTECTION)])
    eq(utility.statuses(), [(1, STATE_ABORTED, REASON_PROTECTION), (2, STATE_STARTED, REASON_PROTECTION)])
    eq(live(utility), [(1000, 0), (2, 0)])


def full_flash():
    house, home, utility = both()
    house.run(1)
    house.fs.full = True
    utility.command(1, KIND_BOOST)
    home.command(1, KIND_OFF)  # restrictive: carried out
    house.run(2)
    eq(applied(house)[0], KIND_OFF)
    eq((live(home), live(utility)), ([(1, 0)], []))
    eq(latest(utility, 1), (STATE_REJECTED, REASON_STORE_FULL))
    eq([row[1] for row in home.statuses()], [STATE_RECEIVED, STATE_STARTED])
    utility.command(2, KIND_OFFSET, 100)  # the other's ledger waits for room already
    house.run(2)
    eq((latest(utility, 2), live(home)), ((STATE_REJECTED, REASON_STORE_FULL), [(1, 0)]))
    eq([(v[2], v[3]) for v in home.take(T_ALARM)], [(ALARM_STORE_FAULT, 1)])
    eq([(v[2], v[3]) for v in utility.take(T_ALARM)], [(ALARM_STORE_FAULT, 1)])
    house.fs.full = False
    house.run(120)
    eq([(v[2], v[3]) for v in utility.take(T_ALARM)], [(ALARM_STORE_FAULT, 0)])
    house.boot()
    house.step()
    eq(applied(house)[0], KIND_OFF)


# --- what each one gets -----------------------------------------------------------------------------------------------


def utility_gets_no_telemetry():
    house, home, utility = controlled()
    house.run(1000)
    assert len(home.take(T_TELEMETRY)) >= 3
    eq(utility.take(T_TELEMETRY), [])
    assert len(utility.take(T_HEARTBEAT)) >= 16
    eq(len(utility.take(T_INTERVAL)) > 0, True)
    utility.registered(telemetry_interval=10)  # nor by asking
    house.run(100)
    eq(utility.take(T_TELEMETRY), [])


def household_agrees():
    house, home, utility = controlled(
        configs=({}, {"data": ["telemetry"]}), plans=({"telemetry_interval": 300}, {"telemetry_interval": 30})
    )
    house.run(900)
    n, m = len(home.take(T_TELEMETRY)), len(utility.take(T_TELEMETRY))
    eq((2 <= n <= 4, 29 <= m <= 32), (True, True))
    eq(utility.take(T_INTERVAL), [])
    house.agent.alarm(house.now, ALARM_OVER_POWER, True, 3000, 2300)
    house.step()
    eq((len(home.take(T_ALARM)), utility.take(T_ALARM)), (1, []))


def dead_bands_apart():
    house, home, utility = controlled(
        configs=({}, {"data": ALL}),
        plans=({"deadband": 50, "telemetry_interval": 3600}, {"deadband": 500, "telemetry_interval": 3600}),
    )
    house.run(10)
    for hand in (home, utility):
        hand.take()
    house.device.readings[R_POWER] -= 100
    house.step()
    eq((len(home.take(T_TELEMETRY)), utility.take(T_TELEMETRY)), (1, []))
    house.run(10)
    house.device.readings[R_POWER] -= 450
    house.step()
    home, utility = home.take(T_TELEMETRY), utility.take(T_TELEMETRY)
    eq((len(home), len(utility)), (1, 1))
    eq(home[0][0] - 1, utility[0][0])  # counted apart


def without_intervals():
    house, home, utility = controlled(configs=({}, {"data": ["alarm"]}))
    house.run(2000)
    eq(utility.take(T_INTERVAL), [])
    eq([path for path in house.fs.files if "a1_intervals" in path], [])
    house.boot()
    for hand in (home, utility):
        hand.up()
    eq(home.take(T_REGISTER)[0][11] & SERVICE_INTERVAL, SERVICE_INTERVAL)
    eq(utility.take(T_REGISTER)[0][11] & SERVICE_INTERVAL, 0)
    house, home, utility = controlled()
    utility.auto_ack = False
    house.run(2000)
    house.configs = ({}, {"data": []})  # the household has thought better of it
    house.boot()
    utility.intervals = {}
    house.join()
    house.run(1000)
    eq(utility.intervals, {})


def alarms_to_both():
    house, home, utility = controlled()
    house.agent.alarm(house.now, ALARM_OVER_POWER, True, 3000, 2300)
    house.step()
    for hand in (home, utility):
        eq([v[2:4] for v in hand.take(T_ALARM)], [[ALARM_OVER_POWER, 1]])
    utility.auto_ack = False
    house.run(120)
    eq((len(home.seat.events.stream), len(utility.seat.events.stream) > 0), (0, True))


def refusals_apart():
    house, home, utility = controlled()
    for _ in range(12):
        utility.raw(b"\x80")
    house.step()
    eq(len(utility.take(T_ANSWER)), 10)
    eq([v[2] for v in utility.take(T_ALARM)], [ALARM_MESSAGES_REFUSED])
    eq((home.take(T_ANSWER), home.take(T_ALARM), home.seat.refusals.count), ([], [], 0))


def read(hand, objects, id=70):
    hand.give(T_READ, [hand.epoch, id, hand.utc, objects])
    hand.house.step()


def reads_what_it_may():
    house, home, utility = controlled()
    home.command(1, KIND_LIMIT, 700)
    read(utility, [OBJ_RELAY, OBJ_LEDGER, OBJ_ENERGY_IMPORT])
    eq(utility.take(T_READ_RESPONSE)[0][4], [OBJ_LEDGER, 1])  # its own commands
    read(utility, [OBJ_POWER_LIMIT], 71)
    eq(utility.take(T_READ_RESPONSE), [])
    eq(utility.take(T_ANSWER)[0][:3], [T_READ, REASON_UNKNOWN_ID, 71])
    read(home, [OBJ_RELAY, OBJ_LEDGER, OBJ_POWER_LIMIT])
    eq(home.take(T_READ_RESPONSE)[0][4], [OBJ_RELAY, 1, OBJ_LEDGER, 2, OBJ_POWER_LIMIT, 700])


def configures_what_it_may():
    house, home, utility = controlled()
    utility.give(T_CONFIGURE, [utility.epoch, 70, utility.utc, [OBJ_INTERVAL_LENGTH, 30, OBJ_RELAY, 0]])
    eq(utility.take(T_ANSWER)[0][:3], [T_CONFIGURE, REASON_UNKNOWN_ID, 70])
    eq(utility.seat.plan.interval_length, 15)
    utility.give(T_CONFIGURE, [utility.epoch, 71, utility.utc, [OBJ_INTERVAL_LENGTH, 30]])
    eq((utility.seat.plan.interval_length, home.seat.plan.interval_length), (30, 15))
    house.device.objects[OBJ_COMFORT_LOW] = 1900
    home.give(T_CONFIGURE, [home.epoch, 70, home.utc, [OBJ_COMFORT_LOW, 1800]])
    eq(house.device.objects[OBJ_COMFORT_LOW], 1800)


def lengths(hand):
    """Minutes of the intervals, but of the first: the time was known before the plan."""
    return {hand.intervals[n][1] for n in hand.intervals if n}


def intervals_apart():
    house, home, utility = controlled(plans=({}, {"interval_length": 60}))
    home.auto_ack = False
    house.run(7300)
    eq(lengths(home), {15})
    eq(lengths(utility), {60})
    eq((sorted(home.intervals)[0], sorted(utility.intervals)[0]), (0, 0))
    assert len(home.seat.intervals.stream) >= 8  # nobody has acknowledged them
    eq(len(utility.seat.intervals.stream), 0)
    wh = [sum([row[2] for row in hand.intervals.values()]) for hand in house.hands]
    assert 0 <= wh[0] - wh[1] <= 2000, wh  # the same energy, less the hour that is open
    house.boot()
    house.join()
    house.run(3600)
    assert len(home.intervals) >= 12
    eq(home.gaps + utility.gaps, [])


def not_too_fine():
    house, home, utility = controlled(plans=({"interval_length": 5}, {"interval_length": 1}))
    house.run(3600)
    eq(lengths(home), {5})
    eq(lengths(utility), {15})


def acknowledged_apart():
    house, home, utility = both()
    home.auto_ack = utility.auto_ack = False
    home.command(1, KIND_OFF)
    utility.command(1, KIND_LIMIT, 900)
    house.step()
    home.ack(events=1)
    eq((len(home.seat.events.stream), len(utility.seat.events.stream)), (0, 2))
    house.boot()
    for hand in (home, utility):
        hand.take()
        hand.events = {}
    house.join()
    house.run(30)
    assert 0 in utility.events and 1 in utility.events, utility.events


def flash_writes_of_a_day():
    house, home, utility = both()
    house.run(3600)
    writes = house.store.writes
    for n in range(12):
        for hand in (home, utility):
            hand.command(n + 1, KIND_LIMIT, 1500, duration=3600)
        house.run(7200)
    assert 192 <= house.store.writes - writes <= 400, house.store.writes - writes


# --- time -------------------------------------------------------------------------------------------------------------


def clock(house):
    """Seconds that the device's clock is ahead of the true time."""
    return house.clock.utc(house.now) - UTC0 - house.wall


def home_s_time():
    house, home, utility = both()
    utility.skew = 500
    for _ in range(3):
        house.run(60)
        eq(utility.take(T_TIME), [])  # it is not asked minute by minute
        utility.registered()
        eq(clock(house), 0)
    eq(house.log.counts.get("time.disagrees"), 1)  # once an hour
    eq(utility.seat.lease.heard, True)  # its beats are fresh all the same: they name ours
    utility.give(T_CONFIGURE, [utility.epoch, 71, utility.utc, [9, utility.utc]])
    eq(clock(house), 0)
    home.skew = 5
    house.run(60)
    eq(clock(house), 5)


def time_while_home_is_away():
    house, home, utility = both()
    utility.skew = 500
    home.silent = True
    house.run(180)
    utility.answer_time()
    eq(clock(house), 500)
    home.silent = False
    house.run(60)
    home.answer_time()
    eq(clock(house), 0)  # it is back, and goes before


def time_of_the_utility():
    house = House()
    house.utility.join()
    eq(clock(house), 0)
    house.home.join()
    house.home.skew = 300
    house.home.registered()
    eq(clock(house), 300)
    house = House()
    house.utility.join()
    house.home.up()
    house.run(30)
    house.home.registered()  # too late to tell the time, and its beats have none
    house.home.silent = True
    house.home.heartbeat(time=False)
    house.utility.skew = 5
    house.utility.heartbeat()
    eq(clock(house), 5)


def early_commands_of_both():
    house, home, utility = both()
    house.boot()
    for hand in (home, utility):
        hand.up()
        hand.take()
    home.command(1, KIND_LIMIT, 900)
    utility.command(1, KIND_OFF)
    eq((len(home.take(T_TIME)), len(utility.take(T_TIME))), (1, 1))
    eq((live(home), live(utility)), ([], []))
    utility.registered()  # one tells the time
    eq((live(home), live(utility)), ([(1, 0)], [(1, 0)]))
    eq(applied(house), (KIND_OFF, ABSENT, 900, DECIDER_SET_POINT))


def resynchronised_apart():
    house, home, utility = controlled()
    home.command(1, KIND_LIMIT, 900)
    utility.command(1, KIND_LIMIT, 1200)
    house.run(60)
    for hand in (home, utility):
        hand.take()
    utility.heartbeat(digest=12345)
    house.step()
    eq((home.statuses(), {s[0] for s in utility.statuses()}), ([], {1, 1000}))


def told_without_delay():
    house, home, utility = controlled(plans=({}, {"failsafe_limit": 600}))
    home.command(1, KIND_ON, duration=7000)
    house.run(20)
    home.take()
    utility.silent = True
    while utility.seat.lease.mode == MODE_CONTROLLED:
        assert house.now < 400
        wait = house.step()
        house.now += wait
        house.wall += wait
        home.heartbeat()
        home.ack_all()
    since = utility.seat.lease.since_s
    assert since == house.now or since == house.now - wait
    house.run(1)  # home's seat came before the one whose state changed
    eq(latest(home, 1), (STATE_PARTLY, REASON_CAPPED))


def no_time_for_both():
    house, home, utility = both()
    home.command(1, KIND_ON)
    utility.command(1, KIND_OFF, priority=1)
    house.run(5)
    house.boot()
    for hand in (home, utility):
        hand.up()
        hand.take()
    house.step()
    eq(applied(house)[0], KIND_OFF)  # home's waits for a time
    home.registered()
    utility.registered()
    house.step()
    eq(applied(house)[0], KIND_ON)
    eq(home.statuses()[-2:], [(1, STATE_WAITING, REASON_NO_TIME), (1, STATE_STARTED, REASON_RESTARTED)])
    eq(latest(utility, 1), (STATE_WAITING, REASON_OUTRANKED))


def jitter_of_each():
    house, home, utility = both(epochs=(77, 77))
    home.command(4, KIND_OFF, jitter=300, priority=1)
    utility.command(4, KIND_OFFSET, 100, jitter=300, priority=1)
    house.step()
    starts = []
    for hand in (home, utility):
        starts.append([v for v in hand.take(T_STATUS) if v[4] == REASON_JITTER][-1][5])
    eq(starts[0], starts[1])  # the key is epoch, id and revision: what an EMD predicts needs no other
    house.run(starts[0] - home.utc)
    eq(applied(house)[0], KIND_OFF)


CASES = (
    ("The effective limit is the least of both EMDs'", least_of_both),
    ("A limit in percent among watts of the other", percent_of_the_other),
    ("Capped by the other's limit: said so", capped_is_said),
    ("Unlimited withdraws its issuer's limits only", own_unlimited_only),
    ("Of two EMDs' set-points the higher priority wins, the other resumes", higher_priority),
    ("Of equal priority the later issue wins, ids do not compare", later_issue),
    ("Of the same second the first association's wins", same_second),
    ("A priority above one association's ceiling is refused, not above the other's", ceiling),
    ("A provisioned ceiling holds against what the EMD says", provisioned_ceiling),
    ("Under a lowered ceiling what was accepted counts for less", lowered_ceiling),
    ("The winner is capped by the other's limit", capped_by_the_other),
    ("The same epoch and id from both are two commands", same_ids),
    ("A revoke ends its issuer's command only", other_s_revoke),
    ("Statuses go to the issuer, in a stream of its own", statuses_to_the_issuer),
    ("A new epoch of one ends its own commands only", new_epoch_of_one),
    ("Leaving one leaves the other's commands alone", leave_one),
    ("An association that is over caps nothing while another controls", left_caps_nothing),
    ("A lapsed lease of one", lapse_of_one),
    ("Both ledgers survive a reboot", reboot_with_both),
    ("The first association's names in the store are as ever", names_in_the_store),
    ("The flash of a device with one association is read", flash_of_a_single_one),
    ("Failsafe of one caps while the other controls", failsafe_of_one),
    ("Each heartbeat has its own state and digest", heartbeats_say_their_own),
    ("The autonomous cap of one holds while the other controls", cap_of_the_autonomous),
    ("One that never was caps while nobody controls", never_associated),
    ("Local policy while no association is controlled", local_policy_needs_all_gone),
    ("Local policy goes on while another is in init", local_policy_over_init),
    ("No local policy of one while it is controlled itself", policy_of_the_controlled),
    ("Prices of both, each with its revisions; either rule saves", prices_of_both),
    ("A rule follows its own EMD's prices", prices_of_one_rule_of_the_other),
    ("Groups of each association", groups_apart),
    ("The link of one goes, the other's works on", link_of_one),
    ("Each enters failsafe after its own spread", failsafe_spread_apart),
    ("The return of power waits for the longest spread", power_return_of_both),
    ("Previous: never another one's command", previous_is_one_s_own),
    ("Previous is kept while its own EMD is there", previous_kept),
    ("Previous ends with its association", previous_left_behind),
    ("An override is told to the issuers that it concerns", override_to_whom_it_concerns),
    ("A trip aborts the set-points of both, each once", trip_aborts_both),
    ("Full flash: each is told of its own", full_flash),
    ("A utility gets no telemetry", utility_gets_no_telemetry),
    ("Unless the household agrees", household_agrees),
    ("Dead-bands and numbers of each", dead_bands_apart),
    ("No intervals: no journal, and the registration says so", without_intervals),
    ("Alarms go to both and are acknowledged apart", alarms_to_both),
    ("Refused messages are answered and counted apart", refusals_apart),
    ("Reading respects what the association gets", reads_what_it_may),
    ("Configuring, too", configures_what_it_may),
    ("Intervals of each: own length, numbers, acknowledgements", intervals_apart),
    ("Without telemetry no intervals under a quarter of an hour", not_too_fine),
    ("Acknowledgements of one leave the other's events", acknowledged_apart),
    ("A day with two EMDs stays under the budget of flash writes", flash_writes_of_a_day),
    ("Of two clocks the first EMD's holds", home_s_time),
    ("While it is away the second's does", time_while_home_is_away),
    ("The second's time is as good while the first gave none", time_of_the_utility),
    ("Commands of both that came before a time", early_commands_of_both),
    ("A digest that does not match starts one resynchronisation", resynchronised_apart),
    ("What one's state does to another's command is said at once", told_without_delay),
    ("After a reboot permissive commands of either wait for the time", no_time_for_both),
    ("Jitter is predictable for each EMD", jitter_of_each),
)


def run(names=None):
    """Runs the cases; returns [(sentence, error)] of those that failed."""
    failed = []
    for sentence, function in CASES:
        try:
            function()
        except Exception as error:
            failed.append((sentence, repr(error)))
    return failed
