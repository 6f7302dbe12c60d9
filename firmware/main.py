"""Starts one device: reads its configuration, builds it, runs it.

On a chip: `main.py` with `config.json` beside it. On a computer: `micropython main.py CONFIG.json [--lockstep]`, with
the unix board's hardware
over stdio (boards/unix/stdio.py). Exit code 2: the configuration is wrong, one line says where; 3: it has to be
started afresh (a chip does so itself).

A chip whose configuration is refused goes on with the copy of the latest one that was good, else in safe mode with what
is right of it (spot/safe.py); it waits for a cable only where no link, or no board, can be read.
"""

import sys

from spot import app as application
from spot import run as runner
from spot.codes import ABSENT, EPOCH_UNIX, RESET_POWER_ON, RESET_SOFT, RESET_UNKNOWN, RESET_WATCHDOG
from spot.config import ConfigError, associations, is_sealed, keep_good, keep_seal, load_board, load_json, seal
from spot.guard import CRASH, put_crash
from spot.log import LEVELS, Log
from spot.port import asyncio, forget, machine, network, report, set_system_clock, sleep_ms, traceback_text
from spot.store import Store

_EVENTS = 32  # that the log keeps
_REST_MS = 10000  # before a chip that failed starts again: time for Ctrl-C over the serial line


def line(level, event, a, b):
    """One event of the log as it is printed."""
    return "%s %s %d %d" % (LEVELS[level], event, a, b)


def reset_cause():
    """RESET_… of this start."""
    if machine is None:
        return RESET_UNKNOWN
    causes = {}
    for name, reset in (("PWRON_RESET", RESET_POWER_ON), ("WDT_RESET", RESET_WATCHDOG), ("SOFT_RESET", RESET_SOFT)):
        if hasattr(machine, name):
            causes[getattr(machine, name)] = reset
    return causes.get(machine.reset_cause(), RESET_UNKNOWN)


def follow_clock(utc):
    """Sets a chip's clock, which TLS checks certificates by, to `utc`, but never to a day before 2025."""
    set_system_clock(utc if utc > 0 else 0)


def link_config(section, config, description, app):
    """What a link over MQTT wants to know, from its section, the configuration and the built device."""
    out = dict(section)
    out["device"] = config["eui64"]
    out["class"] = description["device"]
    out["client_id"] = config["eui64"]
    out.setdefault("port", 8883)
    out.setdefault("utility", "home")
    out["will"] = app.will()
    return out


def _mqtt(section, config, description, app, at, pace, log, keyring):
    from spot.link.mqtt import MqttLink

    words = section.get("protect", "none")
    if words != "none":
        from spot.protection import Protection

        app.ways[at].guard(Protection(keyring, app.identity.boot if app.counted else None, words))
    port = pace.port(at)
    return MqttLink(link_config(section, config, description, app), port.deliver, port.link_up, port.link_down, log)


def _coap(section, config, description, app, at, pace, log, keyring):
    from spot.link.coap import CoapLink

    def unix():
        utc = app.clock.utc(pace.now())
        return None if utc == ABSENT else EPOCH_UNIX + utc

    out = dict(section)
    out["device"] = config["eui64"]
    out["unix"] = unix
    if app.agent.seats[at].signed is not None:
        out["broadcasts"] = ("signed",)
    port = pace.port(at)
    link = CoapLink(out, port.deliver, port.link_up, port.link_down, log, keyring)
    link.session.endpoint.resource("network", lambda now, q: _network(app).serve(now, q, at))
    if section["uri"][:8] == "slipmux:":  # a bare board on a cable: what it prints goes along
        log.sink = lambda *event: link.say(line(*event))
    return link


# by the word in an association; loaded on demand, so that an image holds its own only (spot_host.build)
_LINKS = {"mqtt": _mqtt, "coap": _coap}


def build_links(config, description, app, pace, log):
    """The links of a built device, in the order of its associations."""
    links = []
    for at, one in enumerate(associations(config)):
        kind = "mqtt" if "mqtt" in one else "coap"
        section = one[kind]
        keyring = None
        if "pairing" in section:
            from spot.wire.keyring import Keyring

            pairing = load_json(section["pairing"])
            keyring = Keyring(pairing, app.store, "keys" + one["name"], log, renew=section.get("renew"))
            if not at:
                app.ring = keyring
            if kind == "coap" or section.get("protect") in ("down", "both"):  # elsewhere anyone could send some
                app.agent.seats[at].keys = keyring
        links.append(_LINKS[kind](section, config, description, app, at, pace, log, keyring))
    return links


def checked(path, config=None, boards=None):
    """(config, description) of the configuration at `path`, or of `config`, with all that it names. boards: in a
    release, where a configuration that has passed once need not again. ConfigError."""
    if config is None:
        config = load_json(path)
        found = seal(path, config, boards[:-6] + "release.json") if boards else None
        if found and is_sealed(path, found):
            return config, load_board(config.get("board", "unix"), boards, file=path, trusted=True)
    else:
        found = None
    from spot.config_check import check_whole

    description = check_whole(config, path, boards, machine is not None)
    if found:
        keep_seal(path, found)
    return config, description


def _mended(path, boards):
    from spot.safe import mended

    return mended(path, lambda path, config=None: checked(path, config, boards))


def _watchdog(pace, links, wdt):
    from spot.watchdog import Watchdog

    return Watchdog(wdt, pace, links)


def _network(app):
    """What changes the network, loaded with its first use."""
    if app.network is None:
        from spot.network import Network

        app.network = Network(app)
    return app.network


def _slots(words, config, store):
    """The Slots, where there are any and the loader (boot.py) has said what of them it has started."""
    if "slot" not in words:
        return None
    from spot.slots import Slots, chip

    region = chip()
    if machine is None and "slots" in config:
        from slot_files import Files

        region = Files(config["slots"])
    if region is None:
        return None
    release = load_json(words["boards"][:-6] + "release.json") if "boards" in words else None
    return Slots(region, store, int(words["slot"]), "trial" in words, release, int(words.get("base", 0)))


def start(path, lockstep=False, words=(), safe=0):
    """Builds and runs the device of the configuration at `path`; returns when it ends. words: see main. safe: see
    app.App."""
    refused = None
    words = dict(words)
    boards = words.get("boards")
    try:
        config, description = checked(path, None, boards)
    except ConfigError as error:
        if machine is None:
            raise
        print(error)
        refused = str(error)
        config, description, stage = _mended(path, boards)
        safe = max(safe, stage)
    boards = boards or config.get("boards", "boards")
    config["eui64"] = config["eui64"].lower()
    log = Log(_EVENTS, sink=lambda *event: print(line(*event))) if config.get("log") == "print" else Log(_EVENTS)
    hardware, stdio = machine, None
    if machine is None:
        from spot.config_check import check_store

        check_store(config, path)
        sys.path.insert(1, boards + "/unix")
        import stdio

        hardware = stdio.Hardware(immediate=not lockstep)
    links = []
    wdt = None
    if machine is not None and ("trial" in words or "watchdog_ms" in description and config.get("watchdog", True)):
        wdt = machine.WDT(timeout=description.get("watchdog_ms", 8000))  # the loader has armed it for a trial

    forget("config_check")
    forget("board_check")

    def way(at):
        return lambda channel, buf, n, urgent=False: bool(links) and links[at].send(channel, buf, n, urgent)

    sends = [way(at) for at in range(len(associations(config)))]
    app = application.App(description, config, hardware, None, sends, reset_cause(), log, safe)
    found = _slots(words, config, app.store)
    if found is not None:
        app.use(found)
    if refused:
        log.error("config.refused", safe)
        put_crash(app.store, refused, app.starts.failures)
    elif machine is not None:
        app.on_lasted = lambda: keep_good(path)
    if machine is not None:  # certificates are backdated to 2025: a floor, or that day, is late enough to check them
        follow_clock(app.clock.floor)
        app.clock.on_set = follow_clock
    if lockstep:
        pace = stdio.LockstepPace(app, hardware)
    else:
        pace = runner.RealPace(app)
    app.now = pace.now
    if app.store.get("net"):
        _network(app)
    links += build_links(app.config, description, app, pace, log)
    if network is not None and "wifi" in app.config:
        from spot.link import wifi

        app.station = wifi.start(app.config["wifi"], log)
        if app.board.button is not None and app.ring is not None:
            app.board.button.on_window = lambda: _network(app).press()
    if wdt is not None:
        wdt.feed()
        pace.dog = _watchdog(pace, links, wdt)
    app.join_group = [link.subscribe_group for link in links]
    app.links = links
    app.listen()
    helper = stdio.follow_real_time(hardware) if stdio and not lockstep else None
    description = None  # all that follows runs in this call: a kilobyte that nobody reads any more
    try:
        asyncio.run(runner.run(app, links, pace, helper))
    except KeyboardInterrupt:  # the loop had no chance to end in order: a heat pump must not stay locked
        app.close()
        at = 0
        while machine is not None and at < log.total:  # for who came over the cable: `spot log`
            _, at, text = log.lines(at, 400)
            print(text.decode(), end="")
        raise


def died(path, error):
    """Keeps what ended a life that was not ended in order. False: flash does not take it, so that no count of such
    lives is kept either."""
    try:
        store = Store(None, load_json(path).get("store", "store"), Log(4))
        crash = store.get(CRASH) or b"\0"
        boot = int.from_bytes((store.get("boot") or b"")[:4], "big")
        put_crash(store, "boot %d utc 0 up 0 heap 0 main\n" % boot + traceback_text(error)[-500:], crash[0] + 1)
        return store.writes > 0
    except Exception as another:  # whatever it is, the start afresh comes
        report(another)
        return False


def main(arguments, safe=0):
    """Command line of the unix port and of the loader (boot.py), which says what it has started: --slot=N, --trial,
    --base=N, --boards=FOLDER in the release, --safe for a chip's own. Returns the exit code."""
    words = {}
    path = "config.json"
    for word in arguments:
        if word[:2] == "--":
            name, _, value = word[2:].partition("=")
            words[name] = value
        else:
            path = word
    if "safe" in words:
        safe = 2
    rest_ms = _REST_MS
    try:
        start(path, "lockstep" in words, words, safe)
    except ConfigError as error:
        print(error)
        return 2  # nothing was built: a chip waits here for somebody with the right file
    except KeyboardInterrupt:
        pass
    except Exception as error:
        if isinstance(error, runner.Restart):  # it has said why
            if error.args[0] == runner.WANTED:
                rest_ms = 0
        else:
            report(error)
            if not died(path, error) and machine is not None and safe < 2:
                return main(arguments, 2)
        if machine is None:
            return 3
        sleep_ms(rest_ms)
        machine.reset()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
