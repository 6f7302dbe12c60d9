"""Runs on the chip: every line of /vectors.txt is a golden vector in JSON; prints what differs, then how many ran."""

import gc
import json
from array import array

from spot import codes
from spot.wire import profile


def device_values(row):
    """The values in the device's types: octet strings are given in hex, for the fields that `bytes` names."""
    out = []
    for i, value in enumerate(row["values"]):
        out.append(bytes.fromhex(value) if value is not None and i in row["bytes"] else value)
    return out


def plain(values):
    """Typed arrays as lists, to compare."""
    return [list(value) if isinstance(value, array) else value for value in values]


def check(row, buf):
    """The names of what is not as it should be."""
    wrong = []
    body = bytes.fromhex(row["hex"])
    encoded = bytes.fromhex(row["encoded"])
    kind = row["type"]
    values = device_values(row)
    if profile.head(body, len(body)) != kind:
        wrong.append("head")
    if plain(profile.decode(kind, body, len(body))) != values:
        wrong.append("decode")
    n = profile.encode(kind, values, buf)
    if bytes(buf[:n]) != encoded:
        wrong.append("encode")
    if row["slots"] is not None and profile.command_slots(body, len(body)) != row["slots"]:
        wrong.append("command_slots")
    if row["hot"]:
        slots = array("i", [codes.ABSENT if value is None else value for value in values])
        n = profile.encode_hot(kind, slots, buf)
        if bytes(buf[:n]) != encoded:
            wrong.append("encode_hot")
        again = array("i", [77] * len(slots))
        profile.decode_hot(kind, body, len(body), again)
        if again != slots:
            wrong.append("decode_hot")
    return wrong


def main():
    buf = bytearray(1024)
    count = hot = 0
    with open("/vectors.txt") as lines:
        for line in lines:
            row = json.loads(line)
            count += 1
            hot += row["hot"]
            try:
                wrong = check(row, buf)
            except Exception as error:
                wrong = [repr(error)]
            if wrong:
                print("wrong:", row["name"], *wrong)
            gc.collect()
    print("ran", count, hot)


main()
