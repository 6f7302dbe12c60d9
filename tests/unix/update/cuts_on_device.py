"""Runs on MicroPython: updates of a device in memory, whose power fails at every write and erase.

sys.argv: a file of JSON with the key, the board and the releases in hex, and what is to be done.
"""

import gc
import json
import sys

from rig import ID, Life, cut_everywhere

from spot.codes import ABSENT, STATE_COMPLETED

with open(sys.argv[1]) as file:
    GIVEN = json.load(file)


def octets(digits):
    return bytes([int(digits[i : i + 2], 16) for i in range(0, len(digits), 2)])


RELEASES = {int(n): (octets(row[0]), row[1], octets(row[2])) for n, row in GIVEN["releases"].items()}
BOARD = octets(GIVEN["vendor"]), octets(GIVEN["class"])


def life(**more):
    one = Life(RELEASES, [octets(GIVEN["key"])], BOARD, **more)
    one.region.install(0, RELEASES[1][0], RELEASES[1][1])
    one.boot()
    one.up = True
    return one


def cuts():
    for torn in (0, 1):
        print("cuts", cut_everywhere(life, 2, lambda one: one.states()[-1] == STATE_COMPLETED, torn))


def refused():
    """Each release beside 1 and 2 is refused: its reason."""
    for n in sorted(RELEASES):
        if n > 2:
            one = life()
            if one.offer(n) == 0:
                one.run(900, one.settled)
            print("refused", n, one.told[-1][1], one.told[-1][2], one.sequence)


def rolled_back():
    one = life()
    one.offer(2)
    one.run(900, lambda: one.slots.trial)
    one.up = False
    one.run(900, lambda: one.sequence == 1)
    one.run(2)
    print("rolled_back", one.told[-1][1], one.told[-1][2], one.alarms)
    assert one.updater.progress == ABSENT and one.told[-1][0] == ID


def heap():
    """What an update takes of the heap while it runs, at most, and what is left of it."""
    one = life()
    gc.collect()
    before = gc.mem_alloc()
    one.offer(2)
    most = 0
    while not one.ending:
        one.second()
        gc.collect()
        most = max(most, gc.mem_alloc() - before)
    print("heap", most, gc.mem_alloc() - before)


for word in sys.argv[2:]:
    {"cuts": cuts, "refused": refused, "rolled_back": rolled_back, "heap": heap}[word]()
