"""Answers to what was refused: rate-limited and counted, so that hostile input costs neither air nor flash."""

from array import array

from spot.agent.times import NEVER
from spot.codes import ABSENT, ALARM_MESSAGES_REFUSED, CH_STATUS, MAX_INT, T_ANSWER
from spot.port import const
from spot.wire import profile
from spot.wire.fields import ANS_ABOUT, ANS_COUNT, ANS_POSITION, ANS_REASON, ANS_REF

PER_MINUTE = const(10)  # answers; more are counted only, and raise the alarm
QUIET_S = const(600)  # without a refusal: the alarm is cleared


class Refusals:
    """refuse() logs, counts and answers, note() gives no answer. due_s: when the alarm may be cleared."""

    def __init__(self, out, log, alarm):
        self._out = out
        self._tx = bytearray(5 * ANS_COUNT + 4)
        self._log = log
        self._alarm = alarm
        self._slots = array("i", [ABSENT] * ANS_COUNT)
        self._minute_s = 0
        self._answers = 0
        self._latest_s = 0
        self._raised = False
        self.count = 0
        self.due_s = NEVER

    def answer(self, now_s, about, reason, ref=ABSENT, position=ABSENT):
        """Sends an `answer`; True when the link took it."""
        slots = self._slots
        slots[ANS_ABOUT] = about & 255
        slots[ANS_REASON] = reason
        slots[ANS_REF] = ref if ref != ABSENT and 0 <= ref <= MAX_INT else ABSENT
        slots[ANS_POSITION] = position if position >= 0 else ABSENT
        return self._out.send(CH_STATUS, self._tx, profile.encode_hot(T_ANSWER, slots, self._tx), False)

    def refuse(self, now_s, about, reason, ref=ABSENT, position=ABSENT):
        """Counts and logs a refusal, and answers it unless there are too many."""
        if self.note(now_s, "message.refused", about, reason):
            self.answer(now_s, about, reason, ref, position)

    def note(self, now_s, event, about, reason):
        """Counts and logs a refusal; True unless there are too many to answer them."""
        self.count += 1
        self._latest_s = now_s
        self._log.warn(event, about, reason)
        if now_s - self._minute_s >= 60:
            self._minute_s = now_s
            self._answers = 0
        self._answers += 1
        few = self._answers <= PER_MINUTE
        if not few and not self._raised:
            self._raised = True
            self._alarm(now_s, ALARM_MESSAGES_REFUSED, True, self.count, ABSENT)
        if self._raised:
            self.due_s = now_s + QUIET_S
        return few

    def step(self, now_s):
        if self._raised and now_s - self._latest_s >= QUIET_S:
            self._raised = False
            self._alarm(now_s, ALARM_MESSAGES_REFUSED, False, self.count, ABSENT)
        self.due_s = NEVER if not self._raised else self._latest_s + QUIET_S
