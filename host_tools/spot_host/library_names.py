"""Names that MicroPython's modules, its ports' modules and umqtt give to what they offer: the build keeps them.

What CPython has as well is asked of CPython; the rest is listed, by the reference of MicroPython 1.25. A name too many
costs an octet or two of flash; one that is missing would be called differently on the one side (tests/unix/build asks
the unix port, and runs what is built).
"""

import array
import asyncio
import binascii
import builtins
import collections
import errno
import gc
import hashlib
import io
import json
import math
import os
import select
import socket
import ssl
import struct
import sys
import time
import types

_ASKED = (
    builtins, array, array.array, asyncio, asyncio.Event, asyncio.Lock, asyncio.Queue, asyncio.StreamReader,
    asyncio.StreamWriter, asyncio.Task, asyncio.AbstractEventLoop, asyncio.AbstractServer, binascii, collections,
    collections.deque, collections.OrderedDict, errno, gc, hashlib, hashlib.sha256(), io, io.BytesIO, io.StringIO,
    io.FileIO, json, math, os, select, select.poll(), socket, socket.socket, ssl, ssl.SSLContext, ssl.SSLSocket, struct,
    sys, time, types.GeneratorType, bytes, bytearray, dict, float, frozenset, int, list, memoryview, object, range, set,
    slice, str, tuple, type, property, staticmethod, BaseException, OSError, StopIteration, UnicodeError,
)
_LISTED = """
add_reader addr addrsize aes alarm alarm_left alloc_emergency_exception_buf arg attrtuple auth authmode baudrate bits
bitstream board bootloader bound_method bssid bytecode callback cancel cb channel cipher clean_session client_id clock
cmd config connect const core country cpu crc8 cts cur_task datetime decrypt deepsleep deinit direction disable_irq
disconnect do_connect do_handshake drive duty duty_ns duty_u16 enable_irq encrypt event feed file firstbit flow flush
freq func_name gpio handler hard heap_lock heap_locked heap_unlock hidden high hostname id idle ifconfig implementation
init init_nvs invert ioctl ipconfig ipoll ipv4 ipv6 irq isconnected kbd_intr keepalive key last_pid lightsleep low
lw_keepalive lw_msg lw_qos lw_retain lw_topic mac machine mem mem16 mem32 mem8 mem_alloc mem_current mem_free mem_info
mem_peak memory mode modem mount mpy msg native neopixel network new_event_loop now off on opt_level parity password
peek period phy_mode pid pin ping pins pm poll port print_exception proto protocol pswd ptr ptr16 ptr32 ptr8 publish
pull push_head push_sorted qos qstr_info queue_read queue_write read_u16 readbit readblocks readbyte readfrom
readfrom_mem readfrom_mem_into readinto reason remove_reader reset reset_cause resolution retain retain_topic reverse
rssi rtc run_until_complete rx rxbuf scan schedule scl sda secure security sendbreak server server_hostname server_side
set_callback set_ciphers set_last_will settimeout simple size sleep sleep_ms sock soft_reset ssid ssl_params stack_use
start_server stat state status stop subscribe switch task tempfile threshold tick_hz tick_ms ticks ticks_add ticks_cpu
ticks_diff ticks_max ticks_ms ticks_us time_ns time_pulse_us timeout timeout_char tls toggle trigger tx txbuf txdone
txpower uint umount umqtt uname unique_id user utime value vfs viper wait wait_for_ms wait_msg wake wake_on_touch
wakeup wfe wifi write_mem writebit writeblocks writebyte writeto writeto_mem
"""

NAMES = frozenset(name for thing in _ASKED for name in dir(thing)) | frozenset(_LISTED.split())
