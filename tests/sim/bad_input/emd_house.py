"""A house beside the EMD's own CoAP server: real ports on this machine, sockets that say what they like, and what
arrives goes into the house's core."""

import os
import socket
import ssl
import tempfile

from spot.log import Log
from spot.wire.coap import CoapError, Message
from spot.wire.coap_numbers import OPT_ECHO, OPT_OSCORE
from spot.wire.coap_stream import StreamParser, to_stream
from spot.wire.context import Context
from spot.wire.oscore import Oscore, OscoreError
from spot_host.pki import Pki
from spot_host.profile import codec
from tests.sim.bad_input.coap_house import CON, GET, PATH, POST, SIGNALS, Counted, many
from tests.sim.bad_input.house import NOON, PLUG, WITNESS, House
from tests.unit.emd.coap_rig import Rig, free_port, pairing
from tests.unit.wire.coap_lab import make

HOST = "127.0.0.1"
_WAIT_S = 20.0
CSM = b"\x00\xe1"


class EmdHouse(Counted, House):
    """The rows are to the EMD. rings: pairings other than one for each device; tls: certificates as well."""

    def __init__(self, rings=None, tls=False, **settings):
        self.opens = self.derived = 0
        self.folder, more = None, {}
        if tls:
            self.folder = tempfile.TemporaryDirectory()
            self.pki = Pki(self.folder.name)
            server = self.pki.broker(name="coap")
            server = self.pki.identity("coap")
            for name in (PLUG, WITNESS, "emd"):
                self.pki.issue(name)
            more = {"tls_port": free_port(socket.SOCK_STREAM), "ca": str(self.pki.ca), "cert": str(server.cert),
                    "key": str(server.key), "crl": str(self.pki.crl)}
        self.rig = Rig(2, refuse=self._refusal, rings=rings, clock=lambda: self.utc, **more)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(_WAIT_S)
        self.mid = self.seen_n = 0
        self.oscore, self.keys = Oscore(Log(), os.urandom), {}
        super().__init__(**settings)
        self.begin()

    def close(self):
        self.rig.close()
        self.socket.close()
        if self.folder is not None:
            self.folder.cleanup()

    @staticmethod
    def _refusal(arrival):
        """As the service answers: what is no message of the profile is refused by its name."""
        try:
            codec.decode(arrival.body)
        except codec.ProfileError as error:
            return str(error)
        return None

    # What a row does

    def context(self, n=1, secret=None, generation=0):
        """The keys of device number n, which go on from where they are."""
        key = n, secret, generation
        if key not in self.keys:
            p = pairing(n, generation, secret=secret)
            self.keys[key] = Context(p.secret, p.salt, p.id, p.emd, p.id_context)
        return self.keys[key]

    def reading(self):
        """A good reading that the plug never sent."""
        return codec.encode("telemetry", {"seq": 900, "time": NOON + 130, "power": 5})

    def plain(self, code, *options, payload=b"", type=CON, token=b"\x77\x77"):
        self.mid += 1
        return make(type, code, 0xE000 + self.mid, token, options, payload)

    def post(self, *options, path=b"telemetry", payload=None, **how):
        """A reading, plain."""
        return self.plain(POST, (PATH, path), *options, payload=self.reading() if payload is None else payload, **how)

    def protected(self, octets, context=None, outer=(), spoil=None):
        """As CoapHouse's, under a device's keys."""
        self.binding, out = self.oscore.binding(), bytearray(len(octets) + 60)
        n = self.oscore.protect_request(octets, len(octets), out, context or self.context(), self.binding)
        octets = bytes(out[:n])
        m = Message()
        m.parse(octets, n)
        options = [(m.numbers[i], m.octets(i)) for i in range(m.count)] + list(outer)
        if spoil:
            options = [(number, spoil(value) if number == OPT_OSCORE else value) for number, value in options]
        return make(m.type, m.code, m.mid, m.token(), options, octets[m.payload_at :])

    def bring(self, octets, n=1):
        """A datagram for the EMD, to which `n` answers come; then a question of ours, which is answered last."""
        self.socket.sendto(octets, (HOST, self.rig.port))
        for _ in range(n):
            self._answer(self.socket.recv(4096))
        self.quiet()

    def quiet(self):
        """Until what was sent before is dealt with; anything that comes meanwhile is an answer as well."""
        self.mid += 1
        mine = make(CON, GET, 0xE000 + self.mid, b"quiet", [(PATH, b".well-known"), (PATH, b"core")])
        self.socket.sendto(mine, (HOST, self.rig.port))
        while (answer := self.socket.recv(4096))[4:9] != b"quiet":
            self._answer(answer)
        self._into_core()

    def _answer(self, answer):
        known = self.words.get(answer)
        self.answered.append(known + ", again" if known and known[0] == "2" else known or self.word(answer))
        self.words[answer] = known or self.answered[-1]
        self.answered_octets += len(answer)

    def _into_core(self):
        self.rig.wait(lambda: len(self.rig.taken) >= sum(self.rig.link._arrived.values()), "what arrived")
        new, self.seen_n = self.rig.taken[self.seen_n :], len(self.rig.taken)
        for arrival in new:
            self.take(arrival.body, arrival.channel, arrival.device)

    def stream(self, octets, n=0, name=None):
        """A connection that says these octets (name: over TLS, with that certificate); n messages come, then it is
        closed by the EMD, or by us."""
        port = self.rig.port
        context = None
        if self.folder is not None:
            port = self.rig.link.settings.tls_port
            context = ssl.create_default_context(cafile=str(self.pki.ca))
            context.check_hostname = False
            if name is not None:
                identity = self.pki.identity(name)
                context.load_cert_chain(identity.cert, identity.key)
        parser, words = StreamParser(4096), []
        with socket.create_connection((HOST, port), _WAIT_S) as raw:
            raw.settimeout(_WAIT_S)
            try:
                one = raw if context is None else context.wrap_socket(raw, server_hostname="coap")
                one.sendall(octets)
                while n == 0 or len(words) < n:
                    part = one.recv(4096)
                    if not part:
                        words.append("closed")
                        break
                    self.answered_octets += len(part)
                    at = 0
                    while at < len(part):
                        at = parser.take(part, at, len(part))
                        if parser.n and parser.buf[1] == 0xE5:
                            words.append("Abort")
                        elif parser.n and parser.buf[1] >= 0xE0:
                            words += [SIGNALS[parser.buf[1]]] * (parser.buf[1] != 0xE1)
                        elif parser.n:
                            words.append(self.word(bytes(parser.buf[: parser.n])))
            except (ConnectionError, ssl.SSLError):
                words.append("closed")
        self.answered += words
        self._into_core()

    def framed(self, octets):
        """The message in TCP's framing, behind a CSM."""
        out = bytearray(len(octets) + 8)
        return CSM + bytes(out[: to_stream(octets, len(octets), out)])

    def word(self, octets):
        """As CoapHouse's."""
        m = Message()
        m.parse(octets, len(octets))
        if not m.code:
            return "RST" if m.type == 3 else "ACK"
        protected = m.find(OPT_OSCORE) >= 0
        if protected:
            out = bytearray(len(octets) + 32)
            try:
                octets = bytes(out[: self.oscore.unprotect_response(m, out, self.binding)])
            except (OscoreError, CoapError) as error:
                return "%s, not opened" % error
            m.parse(octets, len(octets))
        word = "%d.%02d" % (m.code >> 5, m.code & 31) + (" Echo" if m.find(OPT_ECHO) >= 0 else "")
        if m.code >= 0x80 and m.payload_n:
            word += " " + octets[m.payload_at :].decode(errors="replace")
        return word + (", protected" if protected else "")

    # What it cost

    def log(self):
        return dict(self.rig.link.notes.counts)

    def memory(self, eui=PLUG):
        return self.state(eui), self.state(WITNESS)

    def cost(self):
        """Octets, answers that are kept for duplicates, uploads, observations."""
        link = self.rig.link
        now = (len(link._udp._answers), len(link._front._parts), link.observers())
        out = [many(self.answered_octets, "octet")] if self.answered_octets else []
        for n, before, name in zip(now, self.held_before, ("remembered", "upload", "observation"), strict=True):
            if n > before:
                out.append("%d remembered" % (n - before) if name == "remembered" else many(n - before, name))
        return ", ".join(out)

    def tables(self):
        link = self.rig.link
        return [len(link._udp._answers), len(link._front._parts), link.observers()]
