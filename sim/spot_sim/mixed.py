"""A run in which some devices are MicroPython processes over real sockets (MQTT with TLS, CoAP with OSCORE) and
the rest is simulated, all in one virtual time."""

import time

from .behind import BOARDS, Behind
from .fleet import GROUP
from .home import Home, Place
from .lockstep import Lockstep, LockstepError

_CONNECT_S = 30  # wall: until every process is connected
_METER_S = 60  # virtual: how often a process samples its meter


class MixedRun:
    """`world` (spot_sim.fleet.World) with its process devices around real parts below `folder`. A context manager.

    Raises LockstepError when a process dies, UserError when a program is missing.
    """

    def __init__(self, world, folder):
        self.world = world
        self._bodies = [world.bodies[eui] for eui in world.process_devices]
        places = [
            Place(
                b.eui,
                BOARDS[b.device_class],
                b.device_class,
                world.device_config(b.eui),
                {"meter": {"period_s": _METER_S}},
                (GROUP,),
                link=b.spec.link,
            )
            for b in self._bodies
        ]
        self.home = Home(folder, places)
        self._places = {place.eui64: place for place in places}
        self.lockstep = None

    def __enter__(self):
        self.home.__enter__()
        world, post = self.world, self.home.post
        self.lockstep = Lockstep(post, self._deliver)
        for eui in self._places:
            world.route(eui, post)
        world.route_groups(post)
        return self

    def __exit__(self, *exc):
        self.home.__exit__(*exc)

    def connect(self, waiting=lambda connected, total: None):
        """Starts the processes, boots them at the world's present second and waits until all are connected."""
        now_s = self.world.now_s
        for body in self._bodies:
            process = self.home.process(self._places[body.eui])
            process.start()
            self.lockstep.add(body.eui, process, Behind(body, self.world.mains), now_s)
        # None hears of its connection before all have one: which of them was quicker must not tell in the history.
        deadline = time.monotonic() + _CONNECT_S
        members = self.lockstep.members.values()
        while True:
            silent = [m for m in members if not m.process.look(now_s).up]
            waiting(len(members) - len(silent), len(members))
            if not silent:
                break
            if time.monotonic() > deadline:
                said = "; ".join(silent[0].process.text[-3:])
                raise LockstepError(
                    "device %s has no connection to the EMD after %d s: %s" % (silent[0].key, _CONNECT_S, said)
                )
            time.sleep(0.02)
        self.lockstep.run_at(now_s)

    def _deliver(self, _t_s):
        world = self.world
        # one instant's packets are all in: by device, so that the history does not depend on which socket was quicker
        for device, channel, body in sorted(self.home.post.take(), key=lambda packet: packet[0]):
            world.receive(device, channel, body)
        world.run_until(world.now_s)

    def run_until(self, t_s, seen=lambda: None):
        """Advances everything to `t_s`; `seen` is called after each instant."""
        world, lockstep = self.world, self.lockstep
        while True:
            at = max(world.now_s, min(t_s, world.next_s(), lockstep.next_wake()))
            world.run_until(at)
            lockstep.run_at(at)
            seen()
            if at >= t_s:
                return
