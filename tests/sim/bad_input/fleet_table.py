"""What an EMD is asked for that it offered to nobody, and campaigns that it does not begin, once: answer and line.

tests/unit/emd/test_firmware_bad_input.py runs the rows against the core.
"""

import base64
from dataclasses import dataclass, field

HEAD = "84181f"  # a piece of four fields


@dataclass
class Ask:
    """what: the sentence; ask: fields other than those of a right request, or raw: the body in hex, {id} for the
    offer's; answer: "piece", or the answer's reason, "" for none; hostile: how much is counted on the device's row;
    other: another device asks; state: of the campaign meanwhile; times: how often it is asked for within one second;
    served: pieces that come."""

    what: str
    answer: str
    ask: dict = field(default_factory=dict)
    raw: str = ""
    hostile: int = 1
    other: bool = False
    state: str = ""
    times: int = 1
    served: int = 0


@dataclass
class Begin:
    """what: the sentence; line: what `spot update start` says; values(release): what is given other than one release
    for pico whose devices register as "Model P"; before: (release, state) of a campaign that there is."""

    what: str
    line: str
    values: object
    before: object = None


def files(octets, model="Model P"):
    return [{"octets": base64.b64encode(octets).decode(), "model": model}]


ASKS = (
    Ask("an offer that there never was", "unknown_id", {"id": 0}),
    Ask("an offer to come", "unknown_id", {"id": 999}),
    Ask("another device's offer", "unknown_id", other=True),
    Ask("from the end of the release on", "out_of_range", {"offset": -1}),
    Ask("from 4 MiB on", "out_of_range", {"offset": 4 << 20}),
    Ask("from −1 on", "out_of_range", raw=HEAD + "{id}2010"),
    Ask("from 2^63 on", "out_of_range", raw=HEAD + "{id}1b800000000000000010"),
    Ask("0 octets", "out_of_range", raw=HEAD + "{id}0000"),
    Ask("1 MiB at a time", "out_of_range", raw=HEAD + "{id}001a00100000"),
    Ask("a text for a number", "malformed", raw=HEAD + "{id}613010"),
    Ask("a device that sends octets itself", "malformed", {"octets": b"mine"}),
    Ask("one piece a thousand times in a second", "", {"count": 512}, hostile=0, times=1000, served=32),
    Ask("while the campaign is halted", "", hostile=0, state="halted"),
    Ask("after it has ended", "", hostile=0, state="ended"),
)

BEGINS = (
    Begin("no release", "1 to 16 releases", lambda release: {"files": []}),
    Begin("octets that are no base64", "octets: no base64",
          lambda release: {"files": [{"octets": "?", "model": "P"}]}),
    Begin("a release that was cut", "the file was cut, or is damaged: no CBOR",
          lambda release: {"files": files(release()[:-1])}),
    Begin("one that is not signed", "a release that is not signed reaches devices over a cable only",
          lambda release: {"files": files(release(signed=False))}),
    Begin("a board whose devices nobody knows", "pico: what do its devices register as? Or name the devices",
          lambda release: {"files": files(release(), None)}),
    Begin("two releases for one board", "two releases for one board in one campaign",
          lambda release: {"files": files(release()) * 2}),
    Begin("two of one sequence, in turn", "another release for pico has sequence 5 in campaign 1: who runs that one "
          "would not take this one; build it anew", lambda release: {"files": files(release(image=bytes(5000)))},
          "ended"),
    Begin("while another campaign for that board runs", "campaign 1 for pico is canaries: end it first, `spot update "
          "halt 1 --end`", lambda release: {"files": files(release(6))}, "live"),
    Begin("a pace of 0 at once", "at_once: 1 to 10000", lambda release: {"pace": {"at_once": 0}}),
    Begin("a pace that is a text", "silent_s: 300 to 2592000",
          lambda release: {"pace": {"silent_s": "1"}}),
    Begin("a device that nobody knows", "no device 02000000000000ff",
          lambda release: {"devices": ["02000000000000ff"]}),
)
