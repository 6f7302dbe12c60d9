"""Interoperation: the firmware on the MicroPython unix port with aiocoap and libcoap, each in both roles."""
