"""One target: a device and a real EMD core, in the target's own time.

A target in virtual time goes on only within `advance`; a real board goes on by itself, and `advance` waits. Tests and
fixtures see no difference: they ask for what is to be, and within how many of the target's seconds.
"""

import base64
from pathlib import Path

from spot_host.emd.config import Association, EmdConfig
from spot_host.emd.core import EmdCore
from spot_host.emd.ledger import FINAL
from spot_host.emd.registry import MODE
from spot_host.emd.storage import MemoryStorage
from spot_host.errors import UserError

from .record import Record

HEARTBEAT_S, TIMEOUT_S, TELEMETRY_S, INTERVAL_MIN, FAILSAFE_W, FAILSAFE_S = 5, 15, 5, 1, 100, 60
_START_S = 180  # from power on to controlled
_CALM_S = 60  # until what a test has left is over
_UNLIMITED = "unlimited"

# What a target may have, and what it means. Others may add to it (hook pytest_hil_features).
FEATURES = {
    "virtual_time": "time goes on only as far as the test asks for",
    "relay_readback": "the contact is seen by something other than the device",
    "reference_meter": "the power is measured by something other than the device",
    "power_cut": "the board's supply can be cut",
    "link_cut": "the way between board and EMD can be cut",
    "wifi_cut": "the board's access point can be switched off",
    "consumes": "a load draws power while the contact is closed, and the device measures it",
    "load": "the power that the load draws can be set",
    "button": "the board's button can be pressed",
    "broker": "the board is on MQTT, and the broker can be stopped",
    "console": "what the board prints can be read",
    "update": "the firmware can be updated over the link",
}


class Absent(Exception):
    """This target is not on this machine (a program is missing); the text says which."""


def plan() -> Association:
    """What devices are told: short times, so that a silent EMD is noticed in seconds, on a real board as well."""
    return Association(
        lease_s=3600, heartbeat_s=HEARTBEAT_S, heartbeat_timeout_s=TIMEOUT_S, telemetry_interval_s=TELEMETRY_S,
        interval_length_min=INTERVAL_MIN, failsafe_limit_w=FAILSAFE_W, failsafe_min_s=FAILSAFE_S, jitter_s=0,
        policy="none", policy_value=None,
    )


class Target:
    """Base of all targets.

    For them to supply: `features`, `eui`, `_begin()`, `_end()`, `now`, `advance(seconds)`, `_carry(channel, body)` (a
    body to the device), and what their features promise (`_relay`, `_power`, `_cut_power`, `_cut_link`, `_set_load`,
    `_press`).
    """

    virtual = False
    step_s = 1.0  # how much time goes on between two looks
    patience = 1.0  # times within which something must happen are multiplied by it
    load_w = 800  # what the load draws while the contact is closed; None: not known
    board = "unix"

    def __init__(self, spec, settings=None):
        self.spec, self.settings = spec, settings
        self.features = set()
        self.record = Record()
        self.core = None
        self._silent = self.running = self.cut = False
        self._doubt = 0  # position in the record from which on a heartbeat proves how things stand
        self.failed = []  # why starts in a row have failed
        self.absent = ""  # why it is not on this machine

    def __str__(self):
        return str(self.spec)

    # Life

    def start(self) -> None:
        """From nothing to a device that is registered and controlled. Raises Absent, UserError."""
        try:
            self._begin()
            self.running = True
            self._until(self.controlled, _START_S, "registered and under control")
            self._look()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends what `start` began."""
        self.running = False
        self._end()

    def _make_core(self, now):
        """An EMD of this target's own, with the short plan; nothing is kept."""
        self.core = EmdCore(EmdConfig(plan_prices=False, association=plan()), MemoryStorage(), self, now)
        add_log = self.core.storage.add_log

        def heard(at, key, event, detail):
            self.record.event(at, f"{event} {detail}")
            add_log(at, key, event, detail)

        self.core.storage.add_log = heard
        return self.core

    def _look(self):
        """What the device's registration says of its features."""
        if self.row.capability.serves("firmware") and self._can_release():
            self.features.add("update")

    def _can_release(self) -> bool:
        """Whether there is a release to offer: `--hil-release`, where a target makes none by itself."""
        return bool((self.settings or {}).get("release"))

    def _release(self) -> bytes:
        """Octets of a release that this device will take, newer than what it runs, signed with a key that it trusts."""
        path = Path(self.settings["release"])
        try:
            return path.read_bytes()
        except OSError as error:
            raise UserError(f"--hil-release: {path}: {error.strerror}") from error

    def offer_update(self):
        """A campaign for this device alone: its Campaign (spot_host.emd.campaign), for the test to end."""
        files = [{"octets": base64.b64encode(self._release()).decode(), "model": None}]
        campaign = self.core.updates.start(self.now, files, {"canaries": 0, "soak_s": 0}, [self.eui])
        self.record.event(self.now, f"test: update offered, campaign {campaign.id}")
        self.core.step(self.now)
        return campaign

    @property
    def row(self):
        """The EMD's row of the device, None before it was heard."""
        return self.core.devices.get(self.eui)

    @property
    def silent(self) -> bool:
        """While True the EMD neither hears nor speaks."""
        return self._silent

    @silent.setter
    def silent(self, silent):
        if self._silent and not silent:
            self.doubt()
        self._silent = silent

    def doubt(self) -> None:
        """What the EMD knows of the device's mode is old, until it hears a heartbeat."""
        self._doubt = self.record.position

    @property
    def mode(self):
        """The device's mode (MODE of the profile) by a heartbeat that the EMD has heard since the last disturbance."""
        row = self.row
        if row is None or self.silent or not self.record.messages("heartbeat", since=self._doubt):
            return None
        return row.mode

    def controlled(self) -> bool:
        """Registered, on the line, and under the EMD's control."""
        return self.row is not None and self.row.registered and self.mode == MODE["controlled"]

    def calm(self) -> None:
        """As a test finds it: link there, EMD speaks, load as usual, nothing live but "unlimited", the contact closed.
        Raises UserError when that cannot be had."""
        self.silent = False
        if self.cut:
            self.cut_link(False)
        if "load" in self.features:
            self.set_load(self.load_w)
        self._until(self.controlled, _START_S, "under control again")
        for command in list(self.row.ledger.commands.values()):
            if command.purpose != _UNLIMITED and command.state not in FINAL:
                self.core.revoke(self.now, self.eui, command.id)
        self._until(lambda: all(c.purpose == _UNLIMITED for c in self.row.ledger.commands.values()), _CALM_S,
                    "free of commands")
        self._until(self._at_rest, _CALM_S, "at rest with its contact closed")

    def _at_rest(self):
        if self._closed():
            return True
        if "button" in self.features:
            self.press(0.2)
            self.advance(self.step_s * 3)
        return False

    def _closed(self):
        if "relay_readback" in self.features:
            return self.relay()
        switch = self.row.switch
        return switch is not None and bool(switch & 1)

    def _until(self, condition, seconds, what):
        end = self.now + seconds * self.patience
        while not condition():
            if self.now >= end:
                last = list(self.record.console)[-8:]
                raise UserError(f"{self}: not {what} within {seconds * self.patience:g} s; its last words: {last}")
            self.advance(self.step_s)

    # The EMD's two ways

    def send(self, device, channel, body):
        """EmdCore's way out."""
        if device != self.eui:
            return False
        self.record.packet(self.now, "down" if not self.silent else "held", channel, body)
        if not self.silent:
            self._carry(channel, bytes(body))
        return True

    def publish(self, group, channel, body):
        """EmdCore's way out to groups: nobody listens here."""

    def raw(self, body: bytes) -> None:
        """Any octets to the device's command channel, as they are."""
        self.record.packet(self.now, "down", "cmd", body)
        self._carry("cmd", bytes(body))

    def arrived(self, channel, body) -> None:
        """A body of the device."""
        self.record.packet(self.now, "up", channel, body)
        if not self.silent:
            self.core.receive(self.now, self.eui, channel, body)

    # What tests and fixtures do

    def relay(self) -> bool:
        """Whether the contact is closed, by the read-back."""
        return self._relay()

    def power_w(self) -> float:
        """W, by the reference meter."""
        return self._power()

    def cut_power(self, seconds) -> None:
        """The supply goes for so long."""
        self.record.event(self.now, f"test: power cut for {seconds} s")
        self._cut_power(seconds)
        self.doubt()

    def cut_link(self, cut) -> None:
        """The way to the EMD is cut, or whole again."""
        self.record.event(self.now, f"test: link {'cut' if cut else 'whole'}")
        self.cut = cut
        self._cut_link(cut)
        self.doubt()

    def set_load(self, watts) -> None:
        """The load draws so much from now on."""
        self.record.event(self.now, f"test: load {watts} W")
        self._set_load(watts)

    def press(self, seconds) -> None:
        """A finger on the button."""
        self.record.event(self.now, f"test: button for {seconds} s")
        self._press(seconds)

    def gather(self) -> None:
        """Brings into the record what has not come by itself."""
