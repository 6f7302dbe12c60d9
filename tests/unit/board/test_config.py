"""Configuration and board descriptions: each bad one is refused with the file, the field and what would be right."""

import json

import pytest

from spot.board_check import check_board
from spot.config import ConfigError, associations, load_board
from spot.config_check import check_device_config, check_files, check_fit, load_config, load_pairing

GOOD = {
    "board": "unix",
    "eui64": "0123456789abcdef",
    "store": "dir",
    "mqtt": {"host": "emd.local", "port": 8883, "ca": "ca.pem", "cert": "c.pem", "key": "k.pem"},
    "device": {"min_on_s": 10, "power_on": "off", "remote_close": True, "steps": [500, 1000]},
    "agent": {},
    "parts": {"meter": {"counts_per_v": 15790}},
}


def changed(path, value):
    config = json.loads(json.dumps(GOOD))
    at = config
    *way, last = path.split(".")
    for name in way:
        at = at.setdefault(name, {})
    if value is None:
        del at[last]
    else:
        at[last] = value
    return config


def test_a_good_one_passes():
    check_device_config(GOOD)


@pytest.mark.parametrize(
    ("field", "value", "want"),
    [
        ("eui64", None, "16 hexadecimal digits"),
        ("eui64", "0123", "16 hexadecimal digits"),
        ("eui64", "0123456789abcdeg", "16 hexadecimal digits"),
        ("eui64", 5, "16 hexadecimal digits"),
        ("store", None, "a text"),
        ("store", "", "a text"),
        ("board", "../../etc", "letters, digits and _"),
        ("model", "x" * 25, "at most 24"),
        ("mqtt", [], "an object"),
        ("mqtt.host", None, "given"),
        ("mqtt.key", None, "given: the path"),
        ("mqtt.port", 0, "from 1 to 65535"),
        ("mqtt.port", "8883", "from 1 to 65535"),
        ("device", 1, "an object"),
        ("device.min_on_s", "ten", "an integer from 0 to 86400, not 'ten'"),
        ("device.min_on_s", True, "an integer"),
        ("device.min_on_s", 1.5, "an integer"),
        ("device.min_on_s", -1, "from 0"),
        ("device.min_run_s", 90000, "to 86400"),
        ("mqtt.prot", 8883, "left out: no such setting"),
        ("mqtt.keepalive", "60", "an integer from 5 to 65535"),
        ("mqtt.utility", "my home", "letters, digits and -_."),
        ("mqtt.utility", "a/b", "letters, digits and -_."),
        ("mqtt.groups", ["+"], "letters, digits and -_."),
        ("mqtt.backoff_ms", [400], "a list of two integers"),
        ("mqtt.backoff_ms", [400, 100], "from 400"),
        ("wifi", [], "an object"),
        ("wifi.ssid", "home", ""),
        ("wifi.ssdi", "home", "left out: no such setting"),
        ("log", True, "one of print, not True"),
        ("boards", 5, "a text"),
        ("device.power_on", "maybe", "one of last, off, on"),
        ("device.remote_close", 1, "true or false"),
        ("device.steps", [], "a list of 1 to 8"),
        ("device.steps", [1000, 500], "from 1001"),
        ("device.comfort_low", 2300, "below comfort_high"),
        ("device.colour", 1, "no such setting"),
        ("speed", 1, "left out"),
        ("parts.meter", 5, "an object"),
    ],
)
def test_a_bad_field_is_named(field, value, want):
    with pytest.raises(ConfigError) as caught:
        check_device_config(changed(field, value), "my.json")
    where = "wifi.password" if field == "wifi.ssid" else field
    assert str(caught.value).startswith("my.json: " + where) and want in str(caught.value)
    assert caught.value.field == where


def test_a_setting_of_the_other_device_is_refused_when_the_device_is_known():
    check_device_config(changed("device", {"min_on_s": 1}), device="plug")
    with pytest.raises(ConfigError):
        check_device_config(changed("device", {"min_on_s": 1}), device="heat_pump")
    with pytest.raises(ConfigError):
        check_device_config(changed("device", {"min_run_s": 1}), device="plug")


def test_what_one_of_the_devices_takes_passes_while_the_device_is_not_known():
    check_device_config(changed("device", {"running_w": 2000}))
    with pytest.raises(ConfigError):
        check_device_config(changed("device", {"running_w": 2000}), device="plug")
    check_device_config(changed("device", {"running_w": 2000}), device="heat_pump")


@pytest.mark.parametrize(
    ("board", "found", "field", "want"),
    [
        ("unix", {"over_current_ma": 16001}, "over_current_ma", "at most 16000, the rating of the board, not 16001"),
        ("unix", {"over_power_w": 3681}, "over_power_w", "at most 3680, the rating"),
        ("unix", {"power_max_w": 5000}, "power_max_w", "at most 3680, the rating"),
        ("unix", {"under_voltage_10mv": 26500}, "under_voltage_10mv", "below over_voltage_10mv"),
        ("unix", {"min_run_s": 60}, "min_run_s", "no such setting"),
        ("unix", {"running_w": 2000}, "running_w", "from 1 to 1000"),
        ("unix_heat_pump", {"min_off_s": 60}, "min_off_s", "no such setting"),
        ("unix_heat_pump", {"power_max_w": 5000, "power_min_w": 5001}, "power_min_w", "at most power_max_w, 5000"),
        ("unix_heat_pump", {"steps": [3000, 6001]}, "steps", "at most power_max_w, 6000"),
        ("unix_heat_pump", {"min_pause_s": 3601}, "min_pause_s", "from 0 to 3600"),
    ],
)
def test_what_does_not_go_with_the_board_is_named(board, found, field, want):
    config = {"eui64": "0123456789abcdef", "store": "dir", "device": found}
    with pytest.raises(ConfigError) as caught:
        check_fit(load_board(board), config, "my.json")
    assert str(caught.value).startswith("my.json: device.%s: must be " % field) and want in str(caught.value)


@pytest.mark.parametrize("board", ["sim", "unix", "pico", "sim_heat_pump", "unix_heat_pump"])
def test_what_goes_with_every_board(board):
    check_fit(load_board(board), {"device": {}})


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (json.dumps(GOOD)[:-9], "is not JSON"),
        ("", "is not JSON"),
        ("[1]", "not a JSON object"),
        (None, "cannot be read (errno 2)"),
        (b"\xff\xfe", "is not JSON"),
    ],
)
def test_a_torn_or_missing_file_is_one_sentence(tmp_path, content, want):
    path = tmp_path / "device.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match="device.json") as caught:
        load_config(str(path))
    assert want in str(caught.value)


def test_a_good_file_is_loaded(tmp_path):
    (tmp_path / "d.json").write_text(json.dumps(GOOD))
    assert load_config(str(tmp_path / "d.json")) == GOOD


@pytest.mark.parametrize("name", ["sim", "unix", "pico", "sim_heat_pump", "unix_heat_pump"])
def test_every_board_that_is_here_is_right(name):
    assert load_board(name)["name"] == name


def test_an_unknown_board_is_refused():
    with pytest.raises(ConfigError, match="config: board: must be a board in boards/, not 'esp8266'"):
        load_board("esp8266")
    with pytest.raises(ConfigError, match="letters"):
        load_board("../unix")


@pytest.mark.parametrize(
    ("field", "value", "where", "want"),
    [
        ("device", "kettle", "device", "one of plug, heat_pump"),
        ("colour", 1, "colour", "left out"),
        ("name", "", "name", "letters"),
        ("model", "x" * 25, "model", "at most 24"),
        ("isolated", "yes", "isolated", "true or false"),
        ("ratings", {"current_ma": 5}, "ratings", "power_w"),
        ("ratings.volts", 230, "ratings.volts", "left out"),
        ("ratings.power_w", -5, "ratings.power_w", "an integer"),
        ("parts", None, "parts", "given"),
        ("parts", [], "parts", "an object"),
        ("parts.relay", None, "parts.relay", "a plug has one"),
        ("parts.fan", {}, "parts.fan", "left out"),
        ("parts.relay.driver", "bl0942", "parts.relay.driver", "one of gpio_relay"),
        ("parts.relay.pin", "GP2", "parts.relay.pin", "an integer"),
        ("parts.relay.pin", None, "parts.relay.pin", "gpio_relay needs it"),
        ("parts.relay.pin", 3, "parts.relay.pin", "a pin of its own, not 3, which parts.button.pin has"),
        ("parts.button.pull", "down", "parts.button.pull", "one of up, none"),
        ("parts.meter.baudrate", 300, "parts.meter.baudrate", "from 4800"),
        ("parts.meter.speed", 1, "parts.meter.speed", "bl0942 has no such field"),
        ("parts.sg_ready", {"driver": "sg_ready", "pins": [5]}, "parts.sg_ready", "left out: a plug has none"),
        ("parts.sensors", {"bath": {"driver": "direct_sensor"}}, "parts.sensors.bath", "left out"),
    ],
)
def test_a_bad_description_is_named(field, value, where, want):
    description = load_board("unix")
    at = description
    *way, last = field.split(".")
    for name in way:
        at = at[name]
    if value is None:
        del at[last]
    else:
        at[last] = value
    with pytest.raises(ConfigError) as caught:
        check_board(description, "b.json")
    assert caught.value.field == where and want in str(caught.value)


# --- links, associations, pairing -----------------------------------------------------------------------------------

COAP = {"uri": "coap://emd.local", "pairing": "pairing.json", "keepalive": 60, "listen": 5683, "multicast": True}
TLS = {"uri": "coaps+tcp://[::1]:5684", "ca": "ca.der", "cert": "c.der", "key": "k.der", "server_name": "emd"}
UTILITY = {"name": "utility", "mqtt": {**GOOD["mqtt"], "pairing": "p.json", "protect": "both"}, "data": ["interval"]}
BASE = {"eui64": "0123456789abcdef", "store": "dir"}


def without(section, *names, **more):
    return {**{name: value for name, value in section.items() if name not in names}, **more}


@pytest.mark.parametrize("section", [
    COAP, TLS, {"uri": "coaps://10.0.0.1:5684", "ca": "a", "cert": "b", "key": "c"},
    {"uri": "coap+tcp://emd:7777", "insecure": True}, {"uri": "slipmux:/dev/ttyACM0", "pairing": "p"},
    {"uri": "slipmux:uart1", "pairing": "p", "baudrate": 460800},
], ids=lambda section: section["uri"])
def test_a_good_coap_section_passes(section):
    check_device_config({**BASE, "coap": section})
    check_device_config({**BASE, "associations": [{"name": "home", "coap": section, "agent": {}}, UTILITY]})


@pytest.mark.parametrize(("section", "field", "want"), [
    ([], "", "an object"),
    ({}, "uri", "given"),
    (without(COAP, uri="http://emd"), "uri", "coap, coaps, coap+tcp or coaps+tcp://host:port, or slipmux:device, not"),
    (without(COAP, uri="coap://"), "uri", "coap, coaps"),
    (without(COAP, uri="coap:emd"), "uri", "coap, coaps"),
    (without(COAP, uri="coap://emd:0"), "uri", "coap, coaps"),
    (without(COAP, uri="coap://emd:65536"), "uri", "coap, coaps"),
    (without(COAP, uri="coap://emd:x"), "uri", "coap, coaps"),
    (without(COAP, uri="coap://emd/path"), "uri", "coap, coaps"),
    (without(COAP, uri="coap://[::1"), "uri", "coap, coaps"),
    (without(COAP, uri="coap://[::1]5"), "uri", "coap, coaps"),
    (without(COAP, uri="slipmux:"), "uri", "coap, coaps"),
    (without(COAP, uri=5), "uri", "coap, coaps"),
    (without(COAP, "pairing"), "pairing", "given, or insecure set to true: coap protects nothing"),
    (without(COAP, "pairing", insecure=False), "pairing", "given, or insecure set to true"),
    (without(COAP, pairing=""), "pairing", "a text"),
    (without(COAP, keepalive=1), "keepalive", "an integer from 5 to 65535, not 1"),
    (without(COAP, listen=70000), "listen", "an integer from 0 to 65535"),
    (without(COAP, multicast=1), "multicast", "true or false"),
    (without(COAP, "listen", "multicast", insecure="yes"), "insecure", "true or false"),
    (without(COAP, ca="ca.der"), "ca", "left out: coap has no certificates"),
    (without(COAP, host="emd"), "host", "left out: no such setting"),
    (without(COAP, lifetime=5), "lifetime", "an integer from 60"),
    (without(TLS, "ca"), "ca", "given: the path"),
    (without(TLS, "key"), "key", "given: the path"),
    (without(TLS, groups=["a/b"]), "groups", "letters, digits"),
    (without(TLS, backoff_ms=5), "backoff_ms", "a list of two integers"),
], ids=repr)
def test_a_bad_coap_section_is_named(section, field, want):
    for prefix, config in (("coap", {"coap": section}),
                           ("associations.0.coap", {"associations": [{"name": "home", "coap": section}, UTILITY]})):
        with pytest.raises(ConfigError) as caught:
            check_device_config({**BASE, **config}, "my.json")
        assert caught.value.field == (prefix + "." + field).rstrip(".") and want in caught.value.want


@pytest.mark.parametrize(("config", "field", "want"), [
    ({"associations": []}, "associations", "a list of 1 or 2 objects"),
    ({"associations": [UTILITY] * 3}, "associations", "a list of 1 or 2 objects"),
    ({"associations": {}}, "associations", "a list of 1 or 2 objects"),
    ({"associations": [5]}, "associations.0", "an object"),
    ({"associations": [UTILITY, UTILITY]}, "associations.1.name", "another for each"),
    ({"associations": [without(UTILITY, name="thirteen_char")]}, "associations.0.name", "of 12 characters"),
    ({"associations": [without(UTILITY, "name")]}, "associations.0.name", "given"),
    ({"associations": [without(UTILITY, name="Home")]}, "associations.0.name", "lower-case"),
    ({"associations": [without(UTILITY, name="a-b")]}, "associations.0.name", "letters, digits and _"),
    ({"associations": [without(UTILITY, "mqtt")]}, "associations.0", "given a link: mqtt or coap"),
    ({"associations": [without(UTILITY, coap=COAP)]}, "associations.0.coap", "left out beside mqtt"),
    ({"associations": [without(UTILITY, colour=1)]}, "associations.0.colour", "left out: no such setting"),
    ({"associations": [without(UTILITY, agent=5)]}, "associations.0.agent", "an object"),
    ({"associations": [without(UTILITY, data=["prices"])]}, "associations.0.data", "a list of telemetry, interval"),
    ({"associations": [without(UTILITY, data="interval")]}, "associations.0.data", "a list of telemetry, interval"),
    ({"associations": [UTILITY], "mqtt": GOOD["mqtt"]}, "mqtt", "left out: each of the associations has its own"),
    ({"associations": [UTILITY], "agent": {}}, "agent", "left out: each of the associations has its own"),
    ({"mqtt": GOOD["mqtt"], "coap": COAP}, "coap", "left out beside mqtt: a second link stands in \"associations\""),
    ({"mqtt": {**GOOD["mqtt"], "protect": "up"}}, "mqtt.pairing", "given: protect needs its keys"),
    ({"mqtt": {**GOOD["mqtt"], "protect": True}}, "mqtt.protect", "one of none, up, down, both, not True"),
    ({"mqtt": {**GOOD["mqtt"], "uri": "coap://a"}}, "mqtt.uri", "left out: no such setting"),
], ids=repr)
def test_bad_associations_are_named(config, field, want):
    with pytest.raises(ConfigError) as caught:
        check_device_config({**BASE, **config}, "my.json")
    assert caught.value.field == field and want in caught.value.want


def test_associations_of_both_forms_of_a_configuration():
    assert associations(GOOD) == [{"name": "", "mqtt": GOOD["mqtt"], "agent": {}}]
    assert associations({**BASE, "associations": [UTILITY]}) == [UTILITY]


PAIRING = {"secret": "00" * 16, "salt": "11" * 8, "id": "01", "emd": "00", "generation": 0}


@pytest.mark.parametrize(("change", "field", "want"), [
    ({"secret": "5ec4e7" * 5}, "secret", "32 to 32 hexadecimal digits"),
    ({"secret": "5ec4e75ec4e7g" + "0" * 19}, "secret", "32 to 32 hexadecimal digits"),
    ({"secret": None}, "secret", "32 to 32 hexadecimal digits"),
    ({"salt": "11"}, "salt", "16 to 16"),
    ({"id": ""}, "id", "2 to 6"),
    ({"id": "01020304"}, "id", "2 to 6"),
    ({"id": "010"}, "id", "2 to 6"),
    ({"emd": "0001"}, "emd", "2 to 2"),
    ({"id": "00"}, "id", "another one than emd"),
    ({"generation": 256}, "generation", "an integer from 0 to 255"),
    ({"until": "tomorrow"}, "until", "an integer"),
])
def test_a_bad_pairing_file_is_named_and_keeps_its_secret(tmp_path, change, field, want):
    path = tmp_path / "pairing.json"
    path.write_text(json.dumps(PAIRING))
    assert load_pairing(str(path)) == PAIRING
    path.write_text(json.dumps({**PAIRING, **change}))
    for config in ({"coap": {**COAP, "pairing": str(path)}},
                   {"associations": [{"name": "home", "coap": {**COAP, "pairing": str(path)}}]}):
        with pytest.raises(ConfigError) as caught:
            check_files(config, "my.json")
        assert (caught.value.file, caught.value.field) == (str(path), field) and want in caught.value.want
        assert "5ec4e7" not in str(caught.value)


@pytest.mark.parametrize(("config", "field"), [
    ({"coap": COAP}, "coap.pairing"),
    ({"associations": [{"name": "home", "coap": COAP}, UTILITY]}, "associations.0.coap.pairing"),
    ({"mqtt": GOOD["mqtt"]}, "mqtt.ca"),
])
def test_a_file_that_is_not_there_is_named(tmp_path, monkeypatch, config, field):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="my.json: %s: must be a file that can be read" % field):
        check_files(config, "my.json")
    for name in ("pairing.json", "ca.pem"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ConfigError, match="is empty|pairing.json: is not JSON"):
        check_files(config, "my.json")
