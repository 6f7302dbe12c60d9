"""A fleet on CoAP with OSCORE: it lives as one on MQTT does, and what only CoAP has holds in it: keys and numbers over
restarts, addresses that change, observations that are lost. tests/sim/test_faults.py runs its cases on both links.
"""

from collections import Counter

import pytest

from spot.wire.coap import Message
from spot.wire.coap_numbers import OPT_OSCORE
from spot_host.profile import codec
from spot_sim import fleet, scenario
from tests.sim.lab import ALWAYS_CHARGING, CODES, HOUR, Lab, build
from tests.sim.test_fleet import BAD_LINK, EVENT, STREET

CAR = {"kind": "ev", "load": ALWAYS_CHARGING, "link": "coap"}
PUMP = {"kind": "heat_pump", "link": "coap"}
NO_PLANS = {"plan_prices": False}


def tables(*links):
    """STREET, its rows in turn on these links."""
    rows = [one if isinstance(one, dict) else {"kind": one[0], "count": one[1]} for one in STREET]
    return [{**row, "link": links[i % len(links)]} for i, row in enumerate(rows)]


def log(world, name):
    """Events of a device's log since its last start: {name: count}."""
    return world.device(name).app.log.counts


@pytest.fixture(scope="module")
def days():
    """The same day of a home under a limit: on MQTT, and with most of its devices on CoAP."""
    worlds = [Lab(build(tables(*links), base_loads=[{}], limits=[EVENT])) for links in (("mqtt",), ("coap", "mqtt"))]
    for world in worlds:
        world.run()
    return worlds


def test_a_mixed_fleet_lives_a_day_as_one_on_mqtt_does(days):
    on_mqtt, mixed = days
    assert Counter(body.spec.link for body in mixed.bodies.values()) == {"coap": 5, "mqtt": 3}
    for body in mixed.bodies.values():
        events, intervals = mixed.exactly_once(body.name)
        assert events == list(range(len(events))) and intervals == list(range(96)), body.name
        key = mixed.row(body.name).key
        got, expected = ({seq: row for (k, _, seq), row in w.storage.intervals.items() if k == key} for w in days)
        assert got == expected, body.name
        assert log(mixed, body.name).get("ledger.resynchronise", 0) == 0, body.name  # no heartbeat overtook a command
    # the link is perfect, and CoAP takes no time on it: the same to the second, in each device and in the accounts
    assert len(mixed.edges) > 30 and sorted(mixed.edges) == sorted(on_mqtt.edges)
    assert mixed.results["home"].energy_j == on_mqtt.results["home"].energy_j
    assert mixed.results["home"].commands == on_mqtt.results["home"].commands
    kept, = mixed.results["home"].limits
    assert kept.kept and kept.over_s == 0


def test_a_price_reaches_all_who_observe_it_once(days):
    on_mqtt, mixed = days
    for body in mixed.bodies.values():
        taken = [log(world, body.name)["price.taken"] for world in days]
        assert taken[0] == taken[1] >= 1, body.name


def test_every_message_is_under_oscore_and_no_number_comes_twice():
    """Over restarts of both ends, with a repeated datagram as the only thing that is the same."""
    world = Lab(build([CAR, PUMP], reboots_per_day=40, emd_outages=[{"at": "03:00", "duration_s": 60}]))
    sent = {}
    for port in world.network.coap:
        for side, way in (("device", port.up), ("emd", port.down)):
            way.carry = recorded(way.carry, sent.setdefault((port.device, side), []))
    world.run_until(6 * HOUR)
    assert sum(device.boots for device in world.devices.values()) > 10
    assert max(len(port.emd.endpoint.server.observers.list) for port in world.network.coap) == 1
    m = Message()
    for (device, side), datagrams in sent.items():
        numbers = {}
        for octets in datagrams:
            m.parse(octets, len(octets))
            if not m.code:
                continue  # an empty ACK, a ping
            value = m.octets(m.find(OPT_OSCORE))  # IndexError: it is not protected
            if value and value[0] & 7:
                number = int.from_bytes(value[1 : 1 + (value[0] & 7)], "big")
                assert numbers.setdefault(number, octets) == octets, (device, side, number)
        assert len(numbers) > 50 and min(numbers) == 0, (device, side)


def recorded(carry, into):
    def record(address, octets):
        into.append(octets)
        carry(address, octets)

    return record


@pytest.mark.parametrize("faults", [{}, {"link": BAD_LINK, "reboots_per_day": 20}], ids=["good link", "bad link"])
def test_a_seed_is_a_history(faults):
    def digest(seed):
        world = fleet.World(build(tables("coap", "mqtt"), seed=seed, **faults))
        world.run_until(3 * HOUR)
        return world.finish().digest

    first = digest(5)
    assert digest(5) == first
    assert digest(6) != first


# --- restarts -------------------------------------------------------------------------------------------------------


def test_an_emd_that_starts_again_has_its_devices_prove_themselves_and_asks_nobody_twice():
    """Of 20 s: a request that was on the way comes again, and is answered before it is given up."""
    world = Lab(build([CAR, PUMP], emd=NO_PLANS, emd_outages=[{"at": "10:00", "duration_s": 20}]))
    world.run_until(10 * HOUR + 20)
    device = world.device("ev-1")
    command = world.command("ev-1", "off", duration=900)  # to where the device was, before it has said a word
    world.run_until(10 * HOUR + 25)
    assert world.moves("ev-1") == [(10 * HOUR + 20, 0)]
    world.run_until(11 * HOUR)
    assert [state for _, state in world.states("ev-1", command.id)][-1] == "completed"
    for name in ("ev-1", "heat_pump-1"):
        port = world.device(name).port
        # it had lost its window, and asked each request that was on its way for Echo, once: a body, an observation
        assert port.emd.log.counts.get("oscore.echo") in (1, 2), name
        assert world.mode(name) == "controlled" and "link.timeout" not in log(world, name)
        events, intervals = world.exactly_once(name)
        assert events == list(range(len(events))) and intervals == list(range(44))
    assert device.boots == 1


def test_observations_that_an_emd_has_lost_come_back_by_themselves():
    world = Lab(build([CAR], days=2, emd_outages=[{"at": "10:02", "duration_s": 20}]))
    end_s = 10 * HOUR + 140
    world.run_until(end_s)
    port = world.device("ev-1").port
    assert not port.emd.endpoint.server.observers.list and port.connected
    world.run_until(end_s + 300 + 15)  # Max-Age, and 5 to 15 s
    assert len(port.emd.endpoint.server.observers.list) == 1 and port.connected
    known = log(world, "ev-1")["price.taken"]
    world.run_until(14 * HOUR + 1)  # tomorrow's are known: a notification
    assert log(world, "ev-1")["price.taken"] == known + 1


@pytest.mark.parametrize("power", [True, False], ids=["power cut", "watchdog"])
def test_a_device_that_has_restarted_takes_commands_at_once_and_each_once(power):
    world = Lab(build([CAR], emd=NO_PLANS, days=2))
    world.run_until(21 * HOUR)
    world.device("ev-1").reboot(20 if power else 0, power)
    world.run_until(21 * HOUR + 30)
    command = world.command("ev-1", "off", duration=900)
    world.run_until(21 * HOUR + 35)
    counts = log(world, "ev-1")
    assert counts.get("oscore.echo") == 1  # the EMD's first request had to prove that it is new
    assert [s for _, s in world.states("ev-1", command.id)][:1] == ["received"]
    world.run_until(22 * HOUR)
    assert [s for _, s in world.states("ev-1", command.id)].count("completed") == 1
    events, _ = world.exactly_once("ev-1")
    assert events == list(range(len(events)))


def test_a_device_that_has_lost_its_numbers_agrees_on_new_keys():
    world = Lab(build([CAR], emd=NO_PLANS))
    world.run_until(2 * HOUR)
    device = world.device("ev-1")
    for name in [name for name in device.fs.files if "keys_0" in name]:
        del device.fs.files[name]  # its numbers, not its keys: RFC 8613, appendix B.2
    device.reboot(5)
    world.run_until(2 * HOUR + 120)
    assert device.port.connected and world.mode("ev-1") == "controlled"
    assert device.port.keyring.current.random


def test_a_device_that_is_gone_for_good_is_lost_when_its_lease_ends():
    world = Lab(build([CAR], emd=NO_PLANS))
    world.run_until(600)
    assert world.row("ev-1").online == 1
    port = world.device("ev-1").port
    world.device("ev-1").reboot(12 * HOUR)
    world.run_until(3600)
    assert world.row("ev-1").online == 1
    world.run_until(3600 + 75)  # the lease of an hour from the start on, and 15 s
    assert world.row("ev-1").online == 0 and not port.connected


# --- the network ----------------------------------------------------------------------------------------------------


def test_an_address_that_changes_under_way_costs_no_command_and_no_connection():
    """A new address each minute, and a command right behind it: it goes to the old one until the device speaks."""
    world = Lab(build([CAR, PUMP], emd=NO_PLANS))
    world.run_until(HOUR)
    commands = []
    for _ in range(30):
        for port in world.network.coap:
            port.move()
        commands.append(world.command("ev-1", "limit", value=4000, duration=30))
        world.run_until(world.now_s + 61)
    for name in ("ev-1", "heat_pump-1"):
        assert world.mode(name) == "controlled"
        assert not [event for event in log(world, name) if event.startswith("link.")], name
    for command in commands:
        assert [state for _, state in world.states("ev-1", command.id)], command.id
    assert world.network.totals["dropped"] >= 30  # what went where nobody is any more
    events, intervals = world.exactly_once("ev-1")
    assert events == list(range(len(events))) and intervals == list(range(len(intervals)))


def arrivals(world, name):
    """A list that grows by the first octet but one of each body that the device's application gets: its type."""
    app, got = world.device(name).app, []
    receive = app.receive

    def note(now_s, channel, buf, n, at=0):
        got.append(buf[1])
        receive(now_s, channel, buf, n, at)

    app.receive = note
    return got


def test_no_heartbeat_of_the_emd_overtakes_a_command_that_waits_for_its_turn():
    world = Lab(build([CAR], emd=NO_PLANS))
    world.run_until(HOUR)
    got = arrivals(world, "ev-1")
    for body in (b"\x81\x06", b"\x81\x0d", b"\x81\x0c"):  # command, read, ack
        world.device("ev-1").port.toward(CODES["cmd"], body, 1)
    world.run_until(HOUR)
    assert got == [6, 13, 12]


def test_what_was_on_its_way_to_an_old_address_follows_as_soon_as_the_device_speaks():
    world = Lab(build([CAR], emd=NO_PLANS))
    world.run_until(HOUR + 10)
    got, port = arrivals(world, "ev-1"), world.device("ev-1").port
    port.move()
    for kind in (b"\x06", b"\x0d"):
        port.toward(CODES["cmd"], b"\x81" + kind, 1)
    world.run_until(HOUR + 11)
    assert not got
    body = codec.encode("telemetry", {"seq": 1, "time": world.utc, "power": 1, "clock": 4, "decider": 1})
    assert port.send(CODES["telemetry"], body, len(body))
    world.run_until(HOUR + 11)
    assert got == [6, 13]


def test_a_new_connection_observes_anew():
    world = Lab(build([CAR], link={"windows": [{"at": "10:00", "duration_s": 300, "device": "ev-1"}]}))
    world.run_until(10 * HOUR + 299)
    port = world.device("ev-1").port
    assert not port.connected and port.emd.peer != port.address
    port.emd.stop()  # and what the EMD knew of it is gone
    port.emd.start()
    world.run_until(10 * HOUR + 420)
    assert port.connected and len(port.emd.endpoint.server.observers.list) == 1


def test_a_command_through_thirty_percent_loss_is_carried_out_once():
    world = Lab(build([CAR], emd=NO_PLANS, days=2, link={"loss": 0.3, "delay_ms": [20, 800], "from_s": "20:30"}))
    world.run_until(21 * HOUR)
    command = world.command("ev-1", "off", duration=1800)
    world.run_until(21 * HOUR + 2400)
    states = [state for _, state in world.states("ev-1", command.id)]
    assert states.count("received") == states.count("started") == states.count("completed") == 1
    assert [value for _, value in world.moves("ev-1")] == [0, 1]
    assert world.network.totals["retried"] > 10
    events, _ = world.exactly_once("ev-1")
    assert events == list(range(len(events)))


def test_octets_are_those_of_the_datagrams(days):
    _, mixed = days
    for port in mixed.network.coap:
        counters = port.counters
        assert counters.up_packet_bytes == port.up.octets and counters.down_packet_bytes == port.down.octets
        # OSCORE, tokens, paths, acknowledgements: less than MQTT's topics
        assert counters.up_bytes + 20 * counters.up_messages < counters.up_packet_bytes < 6 * counters.up_bytes


def test_an_application_that_raises_ends_the_run():
    """On a chip the link goes on; here nobody would see it."""
    world = Lab(build([CAR]))
    world.run_until(600)

    def broken(*_):
        raise RuntimeError("application")

    world.device("ev-1").app.receive = broken
    with pytest.raises(RuntimeError, match="application"):
        world.run_until(900)


# --- the scenario ---------------------------------------------------------------------------------------------------


def test_a_scenario_with_all_on_coap():
    found = scenario.linked(build(tables("mqtt")), "coap", every=True)
    assert {d.link for d in found.devices} == {"coap"}
    world = fleet.World(found)
    assert len(world.network.coap) == len(world.devices) == 8
