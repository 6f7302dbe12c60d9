"""Lock-step: MicroPython processes that live in the simulator's virtual time.

Design section 9. Each process runs `firmware/main.py CONFIG --lockstep` and is granted one instant after the other
over its stdin; on its
stdout it answers with what its actuators did, how many packets it sent and received, and when it wants to wake. Both
directions are lines of JSON:

    grant   {"t": seconds, "rx": n, "in": {...}}       time, packets it must have received before it steps, sensor
    values; with "hold": 1 it only says how it stands
    answer  >{"w": seconds, "tx": n, "rx": n, "up": 0|1, "out": [[name, value], ...]}

A line of stdout that does not begin with ">" is the device's own text and goes to its log. Packets travel outside
this channel, over real sockets:
`Lockstep.settle` lets time go on only when every packet that one side sent has been counted at the other.
"""

import json
import os
import queue
import subprocess
import threading

from spot_host.errors import UserError

_ANSWER_S = 30.0  # wall: a device that does not answer for so long is broken
_PACKET_S = 5.0  # wall: a packet that has not arrived after so long counts as lost


class LockstepError(UserError):
    """A device process died or does not answer; the message carries the end of its output."""


class Answer:
    """What a device said to one grant: `wake_s`, `sent`, `received` (packets since its start), `up`, `outputs`
    [(name, value)]."""

    __slots__ = ("wake_s", "sent", "received", "up", "outputs")

    def __init__(self, line):
        said = json.loads(line)
        self.wake_s, self.sent, self.received = said["w"], said["tx"], said["rx"]
        self.up, self.outputs = bool(said["up"]), [tuple(o) for o in said["out"]]


class Process:
    """One MicroPython process.

    command: argv; environment: of the process; name: for messages. Its text (not answers) is kept in `text`, the last
    200 lines.
    """

    def __init__(self, name, command, environment, cwd=None):
        self.name, self.command, self.environment, self.cwd = name, command, environment, cwd
        self.text = []
        self.grants = 0
        self._lines = queue.Queue()
        self._child = None

    def start(self):
        """Starts the process; it answers grants as soon as its configuration is read."""
        self._child = subprocess.Popen(
            self.command,
            env=self.environment,
            cwd=self.cwd,
            text=True,
            bufsize=1,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(self._child,), daemon=True).start()

    def _read(self, child):
        for line in child.stdout:
            if line.startswith(">"):
                self._lines.put(line[1:])
            else:
                self.text.append(line.rstrip())
                del self.text[:-200]
        self._lines.put(None)

    def grant(self, t_s, received, inputs):
        """Gives the instant `t_s`; the answer is fetched with `answer`."""
        self.grants += 1
        self._say({"t": t_s, "rx": received, "in": inputs})

    def look(self, t_s):
        """Asks how it stands, without a step; the Answer."""
        self._say({"t": t_s, "rx": 0, "in": {}, "hold": 1})
        return self.answer()

    def _say(self, grant):
        line = json.dumps(grant, separators=(",", ":"))
        try:
            self._child.stdin.write(line + "\n")
            self._child.stdin.flush()
        except OSError:
            self._fail("ended")

    def answer(self):
        """The answer to the last grant. Raises LockstepError when the process ended or stays silent."""
        return Answer(self.line(_ANSWER_S))

    def line(self, seconds):
        """The next line that it says, without the ">"; in real time these are {"out": [[name, value]]}."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            self._fail("said nothing for %d s" % seconds)
        if line is None:
            self._fail("ended")
        return line

    def feed(self, inputs):
        """Sensor values for a process in real time."""
        self._child.stdin.write(json.dumps({"in": inputs}) + "\n")

    def _fail(self, what):
        tail = "\n  ".join(self.text[-12:]) or "(it printed nothing)"
        raise LockstepError("device %s %s; its last words:\n  %s" % (self.name, what, tail))

    def kill(self):
        """Power cut: no goodbye, no flush."""
        if self._child and self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self._child = None
        self._lines = queue.Queue()

    def stop(self):
        """Ends the process in good order; kills it when it does not end."""
        child, self._child = self._child, None
        if child is None:
            return
        try:
            child.stdin.close()
            child.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            child.kill()
            child.wait()


class Member:
    """A device in lock-step: its process, its world and its counts.

    world: object with `inputs(t_s) -> dict` (sensor values for the grant) and `output(t_s, name, value)` (an actuator
    moved).
    """

    def __init__(self, key, process, world):
        self.key, self.process, self.world = key, process, world
        self.wake_s = 0
        self.last = None
        self.granted = 0
        self.lost_up = self.lost_down = 0


class Lockstep:
    """Advances its members to given instants.

    post: the side that talks to them over sockets, with `sent(key) -> int` (packets sent to that device),
    `arrived(key) -> int` (packets received from it)
    and `await_arrival(key, count, seconds) -> bool`.
    deliver(t_s): called when all packets of an instant are in; it lets the EMD work on them and may send more.
    """

    def __init__(self, post, deliver):
        self.post, self.deliver = post, deliver
        self.members = {}
        self.rounds = 0

    def add(self, key, process, world, start_s):
        """Adds a started process; it gets its first grant at `start_s`."""
        member = self.members[key] = Member(key, process, world)
        member.wake_s = start_s
        return member

    def next_wake(self):
        """The earliest instant at which a member wants to run, or None."""
        return min((m.wake_s for m in self.members.values()), default=None)

    def run_at(self, t_s):
        """Runs every member that is due at `t_s` or has packets waiting, until all packets are accounted for."""
        for _ in range(64):
            due = [m for m in self.members.values() if m.wake_s <= t_s or self._owed(m)]
            if not due:
                return
            self.rounds += 1
            for m in due:
                m.granted = self.post.sent(m.key) - m.lost_down
                m.process.grant(t_s, m.granted, m.world.inputs(t_s))
            for m in due:
                m.last = m.process.answer()
                m.wake_s = max(m.last.wake_s, t_s + 1)
                for name, value in m.last.outputs:
                    m.world.output(t_s, name, value)
            for m in due:
                self._settle(m)
            self.deliver(t_s)
        raise LockstepError("the instant %d does not come to rest: EMD and devices keep answering each other" % t_s)

    def _owed(self, m):
        return m.last is not None and m.last.up and self.post.sent(m.key) - m.lost_down > m.last.received

    def _settle(self, m):
        if not self.post.await_arrival(m.key, m.last.sent - m.lost_up, _PACKET_S):
            m.lost_up = m.last.sent - self.post.arrived(m.key)
        if m.last.received < m.granted:  # the device waited its time for them
            m.lost_down += m.granted - m.last.received


def micropython_command(micropython, main, config_path, heap="4m", lockstep=True):
    """argv of a device process, in lock-step or in real time."""
    command = [str(micropython), "-X", "heapsize=" + heap, str(main), str(config_path)]
    return command + ["--lockstep"] if lockstep else command


def micropython_environment(firmware, libraries):
    """Environment of a device process: where it finds the firmware and umqtt."""
    env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
    env["MICROPYPATH"] = ":".join([str(firmware)] + [str(p) for p in libraries] + [".frozen"])
    return env
