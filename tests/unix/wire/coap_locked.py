"""Runs on a device: a request of 33 octets built and read with the heap locked: an allocation raises."""

import micropython

from spot.wire.coap import Builder, Message


def main():
    buf = bytearray(128)
    builder = Builder(buf)
    message = Message()
    body = bytes(range(33))
    token = b"tokn"
    path = b"telemetry"
    micropython.heap_lock()
    builder.start(0, 2, 0x1234, token)
    builder.option(11, path)
    builder.uint(258, 26)
    builder.payload(body, 0, 33)
    message.parse(buf, builder.n)
    number = message.uint(message.find(258))
    micropython.heap_unlock()
    assert number == 26 and message.payload_n == 33 and message.token() == token
    assert message.octets(message.find(11)) == path and bytes(buf[message.payload_at : builder.n]) == body
    print("locked", builder.n)


main()
