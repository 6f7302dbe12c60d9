"""What the link's tests are made of: a device on MicroPython, an EMD's client, a proxy and a broker with faults."""

import asyncio
import contextlib
import json
import os
import queue
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho

from spot_host.toolchain import runtimes

ROOT = Path(__file__).resolve().parents[3]
DEVICE = "02005e10000000a1"
OTHER = "02005e10000000b2"
UTILITY = "stadtwerk"
TOPIC = f"der/{UTILITY}/plug/{DEVICE}"
# Deadlines of tests: short, so that faults show soon; what is asserted is what happens, not when.
QUICK = {"tcp_ms": 1500, "handshake_ms": 1500, "connack_ms": 2000, "ack_ms": 700, "ping_ms": 700, "stall_ms": 700,
         "keepalive": 2, "backoff_ms": [100, 800], "stable_ms": 1500, "dns_ms": 400}


def config(broker, port=None, host="localhost", name=DEVICE, **more):
    """A device's link configuration for `broker` (or through a proxy on `port`)."""
    identity = broker.pki.identity(name)
    return {"host": host, "port": port or broker.port, "ca": str(broker.pki.ca_der), "cert": str(identity.cert_der),
            "key": str(identity.key_der), "client_id": name, "utility": UTILITY, "class": "plug", "device": name,
            "groups": ["area1"], "will": "gone", **QUICK, **more}


class Device:
    """A MicroPython process with one link. `expect` waits for an event; `seen` holds all of them."""

    def __init__(self, settings, folder, umqtt=None, heap="512k"):
        path = Path(folder) / f"device{time.monotonic_ns()}.json"
        path.write_text(json.dumps(settings))
        library = umqtt or runtimes.umqtt_dir()
        env = {**os.environ, "MICROPYPATH": f"{ROOT / 'firmware'}:{library}:.frozen"}
        program = Path(__file__).with_name("device.py")
        self._process = subprocess.Popen(
            [str(runtimes.installed("micropython")), "-X", f"heapsize={heap}", str(program), str(path)], env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.seen, self._new, self.errors = [], queue.Queue(), ""
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._read_errors, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            try:
                self._new.put(json.loads(line))
            except ValueError:
                self._new.put({"stray": line})
        self._new.put({"exit": self._process.wait()})

    def _read_errors(self):
        self.errors = self._process.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def tell(self, *what):
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def send(self, channel, body: bytes):
        self.tell("send", channel, body.hex())

    def ask(self, what):
        """The answer to "gap", "heap" or "pending"."""
        self.tell(what)
        return self.expect(what)[what]

    def expect(self, key, value=None, timeout=15):
        """The next event that has `key` (with `value`, if given); all go to `seen`. Fails after `timeout` s."""
        deadline = time.monotonic() + timeout
        skipped = []
        while True:
            try:
                event = self._new.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                event = None
            late = time.monotonic() > deadline
            if event is None or (late and key not in event) or ("exit" in event and key != "exit"):
                raise AssertionError(f"no {key}={value} within {timeout} s; {event}; saw {skipped}; {self.errors}")
            self.seen.append(event)
            if key in event and (value is None or event[key] == value):
                return event
            skipped.append(event)

    def causes(self):
        """The link's errors so far, by name."""
        return [event["log"][5:] for event in self.seen if str(event.get("log", "")).startswith("link.")]


class Emd:
    """An EMD's MQTT client (paho) with a certificate of `name`; `received` is a list of (topic, body)."""

    def __init__(self, broker, name="emd", topics=("der/#",), port=None, clean=True):
        identity = broker.pki.identity(name)
        self.received, self._topics, self._arrived = [], topics, threading.Condition()
        self._ready = threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean)
        self.client.tls_set(str(broker.pki.ca), str(identity.cert), str(identity.key))
        self.client.on_connect, self.client.on_message = self._on_connect, self._on_message
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.reconnect_delay_set(0.1, 0.5)
        self.client.connect("localhost", port or broker.port, keepalive=10)
        self.client.loop_start()
        assert self._ready.wait(10), "the EMD's client is not connected"

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(self, client, userdata, flags, code, properties):
        client.subscribe([(topic, 1) for topic in self._topics])

    def _on_message(self, client, userdata, message):
        with self._arrived:
            self.received.append((message.topic, message.payload))
            self._arrived.notify_all()

    def publish(self, topic, body, retain=False):
        """Publish with QoS 1 and wait for the broker's PUBACK."""
        info = self.client.publish(topic, body, 1, retain)
        info.wait_for_publish(10)
        assert info.is_published()

    def wait(self, condition, timeout=15):
        """Wait until `condition(self.received)` is true."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: condition(self.received), timeout), self.received

    def bodies(self, topic):
        return [body for where, body in self.received if where == topic]


async def _end_all(server):
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Proxy:
    """A TCP proxy before the broker, with faults that are switched while it runs.

    `mode`: "pass"; "silent" (accepts, carries nothing); "stall" (carries `down_bytes` more octets to the device, then
    nothing); "deaf" (reads nothing from the device, so that its writes block).
    """

    def __init__(self, target_port):
        self.target_port = target_port
        self.mode = "pass"
        self.down_bytes = 0
        self.connections = 0
        self._writers = set()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def _serve(self, started):
        asyncio.set_event_loop(self._loop)
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that "deaf" is felt soon
        listener.bind(("127.0.0.1", 0))
        self._server = self._loop.run_until_complete(asyncio.start_server(self._accept, sock=listener, limit=4096))
        self.port = self._server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _end(self):
        await _end_all(self._server)

    def cut(self):
        """End every connection at once (RST)."""
        self._loop.call_soon_threadsafe(lambda: [writer.transport.abort() for writer in list(self._writers)])

    def stall(self, down_bytes):
        """Let `down_bytes` more octets through to the device, then nothing."""
        self.down_bytes, self.mode = down_bytes, "stall"

    async def _accept(self, reader, writer):
        self.connections += 1
        self._writers.add(writer)
        try:
            if self.mode == "silent":
                while await reader.read(4096):
                    pass
                return
            try:
                up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            except OSError:
                return
            self._writers.add(up_writer)
            await asyncio.gather(self._carry(reader, up_writer, False), self._carry(up_reader, writer, True))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def _carry(self, reader, writer, down):
        try:
            while True:
                while self.mode == "deaf" and not down:
                    await asyncio.sleep(0.02)
                data = await reader.read(4096)
                if not data:
                    break
                if self.mode == "silent":
                    continue
                if self.mode == "stall" and down:
                    data, self.down_bytes = data[: self.down_bytes], max(0, self.down_bytes - len(data))
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


class FakeBroker:
    """A TLS server that speaks just enough MQTT to misbehave. One connection at a time is served, the latest.

    `acks`: answer PUBLISH with PUBACK; `connack`: the octets that answer CONNECT (None: nothing); `pings`: answer
    PINGREQ; `subacks`: return code. `packets` holds (first octet, rest after the length) of everything that came.
    """

    def __init__(self, pki, port=0):
        self.connack, self.acks, self.pings, self.subacks = b"\x20\x02\x00\x00", True, True, 1
        self.packets, self._arrived = [], threading.Condition()
        self.connections = 0
        self._writer = None
        identity = pki.broker(name="fake")
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.maximum_version = ssl.TLSVersion.TLSv1_2
        self._tls.load_cert_chain(identity.cert, identity.key)
        self._tls.load_verify_locations(pki.ca)
        self._tls.verify_mode = ssl.CERT_REQUIRED
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started, port), daemon=True)
        self._thread.start()
        started.wait()

    def _serve(self, started, port):
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda *_: None)
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, "127.0.0.1", port, ssl=self._tls))
        self.port = self._server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _end(self):
        await _end_all(self._server)

    def say(self, data: bytes):
        """Write raw octets to the device."""
        self._loop.call_soon_threadsafe(lambda: self._writer.write(data))

    def wait(self, condition, timeout=15):
        """Wait until `condition(self.packets)` is true."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: condition(self.packets), timeout), self.packets

    def publishes(self):
        """(first octet, packet id, topic, body) of each QoS 1 PUBLISH that came."""
        found = []
        for kind, rest in self.packets:
            if kind & 0xF6 == 0x32:
                end = 2 + int.from_bytes(rest[:2], "big")
                found.append((kind, int.from_bytes(rest[end : end + 2], "big"), rest[2:end].decode(), rest[end + 2 :]))
        return found

    async def _accept(self, reader, writer):
        self.connections += 1
        self._writer = writer
        try:
            while True:
                kind = (await reader.readexactly(1))[0]
                length = shift = 0
                while True:
                    octet = (await reader.readexactly(1))[0]
                    length |= (octet & 0x7F) << shift
                    shift += 7
                    if octet < 0x80:
                        break
                rest = await reader.readexactly(length)
                with self._arrived:
                    self.packets.append((kind, rest))
                    self._arrived.notify_all()
                writer.write(self._answer(kind, rest))
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _answer(self, kind, rest):
        if kind == 0x10:
            return self.connack or b""
        if kind == 0x82:
            return b"\x90\x03" + rest[:2] + bytes([self.subacks])
        if kind == 0xC0 and self.pings:
            return b"\xd0\x00"
        if kind & 0xF6 == 0x32 and self.acks:
            end = 2 + int.from_bytes(rest[:2], "big")
            return b"\x40\x02" + rest[end : end + 2]
        return b""


def publish_packet(topic: str, body: bytes, pid=0):
    """The octets of a PUBLISH, QoS 1 if `pid`."""
    rest = len(topic).to_bytes(2, "big") + topic.encode() + (pid.to_bytes(2, "big") if pid else b"") + body
    length, octets = len(rest), b""
    while True:
        length, low = length >> 7, length & 0x7F
        octets += bytes([low | (0x80 if length else 0)])
        if not length:
            return bytes([0x32 if pid else 0x30]) + octets + rest


class NameServer:
    """A DNS server for `names` (name → IPv4 address); a forged answer precedes each. `asked`: the names in order."""

    def __init__(self, names):
        self.asked = []
        self._names = names
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._socket.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                asked, peer = self._socket.recvfrom(512)
                labels, at = [], 12
                while asked[at]:
                    labels.append(asked[at + 1 : at + 1 + asked[at]].decode())
                    at += 1 + asked[at]
                self.asked.append(".".join(labels))
                address = self._names.get(self.asked[-1])
                head = b"\x81\x80\x00\x01\x00\x01" if address else b"\x81\x83\x00\x01\x00\x00"
                record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04"
                rest = head + bytes(4) + asked[12:]
                self._socket.sendto(bytes([asked[0] ^ 1, asked[1]]) + rest + record + b"\x7f\x01\x01\x01", peer)
                self._socket.sendto(asked[:2] + rest + (record + socket.inet_aton(address) if address else b""), peer)


def wait_until(condition, timeout=15):
    """Wait for `condition()` to be true, for what no event tells; fails after `timeout` s."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@contextlib.contextmanager
def silent_udp():
    """A UDP port that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
