"""The provisioning window of a device, from outside: name and key of its access point, and its network's settings over
CoAP with OSCORE there (docs/provisioning.md, "A new Wi-Fi password").

All of it is derived from the pairing secret that the device uses now, as firmware/spot/network.py does. Each visit has
keys of its own, by the procedure of RFC 8613 B.2.
"""

import asyncio
import dataclasses
import secrets
import time

import cbor2
from aiocoap import Context, Message, error, oscore
from aiocoap.numbers import UNAUTHORIZED, codes

from spot.network import access
from spot_host.emd.coap_oscore import Twin, unwrapped, wrapped
from spot_host.errors import UserError

ADDRESS = "192.168.4.1"  # of the access point, on all chips
_ROLE = b"window"
_ANSWER_S = 20.0
_TRIAL_S = 320.0
_AGAIN_S = 3.0
_TRIES = 9  # where strangers crowd it, a device looks at one of eight (wire/oscore.py)
_CBOR = 60


class NoAnswer(UserError):
    """Nothing came back, or from somebody without the keys."""

    exit_code = 5


class Refused(UserError):
    """The device does not take it, or it did not work."""

    exit_code = 4


def access_point(eui: str, pairing) -> tuple[str, str]:
    """(name, key) of the device's access point under this pairing."""
    return access(pairing.salt, pairing.secret, bytes.fromhex(eui))[:2]


class Visit:
    """Requests to a device in its window, under one pairing; `open` first, `close` at the end."""

    def __init__(self, eui, pairing, address=ADDRESS):
        secret = access(pairing.salt, pairing.secret, bytes.fromhex(eui))[2]
        self._pairing = dataclasses.replace(pairing, emd=_ROLE, secret=secret)
        host = f"[{address}]" if ":" in address else address
        self._uri, self._keys, self._context, self._hint = f"coap://{host}", None, None, None

    async def open(self) -> bool:
        """Agree on keys; False: the device has others. Raises NoAnswer where there is none."""
        self._context = await Context.create_client_context(transports=["udp6"])
        for _ in range(_TRIES):
            if await self._agree():
                return True
        return False

    async def _agree(self):
        first = secrets.token_bytes(8)
        response, binding = await self._send(Message(code=codes.GET), Twin(self._pairing, first), wrapped(first))
        if response.opt.oscore is None:
            return False
        *_, unprotected, _ = Twin._uncompress(response.opt.oscore, response.payload)
        second = unwrapped(unprotected.get(oscore.COSE_KID_CONTEXT) or b"\0")
        if not second:
            return False
        try:
            answer, _ = Twin(self._pairing, second + first).unprotect(response, binding)
        except oscore.ProtectionInvalid:
            return False
        third = second + secrets.token_bytes(8)
        self._keys, self._hint = Twin(self._pairing, third), wrapped(third)
        return answer.code == UNAUTHORIZED

    async def ask(self, code, body=b"") -> Message:
        """One request to /network."""
        for _ in range(_TRIES):
            message = Message(code=code, payload=body, content_format=_CBOR if body else None)
            response, binding = await self._send(message, self._keys, self._hint)
            if response.opt.oscore is not None:
                break
        else:
            raise NoAnswer(f"the device does not know its own keys: {response.code}; has its window been opened again?")
        try:
            answer, _ = self._keys.unprotect(response, binding)
        except oscore.ProtectionInvalid:
            raise NoAnswer("the answer is not the device's") from None
        self._hint = False  # it knows them now
        return answer

    async def _send(self, message, keys, hint):
        message.opt.uri_path = ("network",)
        protected, binding = keys.protect(message, kid_context=hint)
        protected.set_request_uri(self._uri)
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._context.request(protected, handle_blockwise=False).response, binding
        except (error.Error, OSError, TimeoutError) as exc:
            raise NoAnswer(f"{self._uri}: no answer. Is this computer in the device's network, and its window "
                           "open (slow blinking)?") from exc

    async def close(self):
        if self._context is not None:
            await self._context.shutdown()


def through_emd(ask, found, say=lambda state: None, patience_s=_TRIAL_S, sleep=time.sleep):
    """As `change`, by way of the running EMD. ask(method, body) -> {"success", "code", "payload"}: `spot coap`'s."""
    if found:
        _right(ask("put", request(found)))
    state, end = None, time.monotonic() + patience_s
    while True:
        try:
            now = told(_right(ask("get", b"")))
        except NoAnswer:  # it may be on its way from one network to the other
            if state is None and not found:
                raise
        else:
            if state is None or (now["state"], now["why"]) != (state["state"], state["why"]):
                say(now)
            state = now
            if state["state"] != "trying":
                return state
        if time.monotonic() > end:
            raise NoAnswer("the device was not heard again within its time; ask once more")
        sleep(_AGAIN_S)


def _right(result):
    payload = bytes.fromhex(result["payload"])
    if not result["success"]:
        raise Refused(f"the device refuses: {result['code']} {payload[:60].decode('utf-8', 'replace')}".strip())
    return payload


def request(found: dict) -> bytes:
    """The body of a PUT. found: `ssid` and `key`, `host` and `port`, `later`; what is None is left out."""
    return cbor2.dumps({name: value for name, value in found.items() if value is not None}, canonical=True)


def told(body: bytes) -> dict:
    """What a GET says: state, why, ssid, next, left_s."""
    try:
        found = cbor2.loads(body)
        return {name: found[name] for name in ("state", "why", "ssid", "next", "left_s")}
    except (ValueError, TypeError, KeyError, cbor2.CBORDecodeError):
        raise NoAnswer("the device's answer is none of a network's state") from None


def check(answer) -> None:
    """Refused for an answer that is no success."""
    if not answer.code.is_successful():
        why = answer.payload[:60].decode("utf-8", "replace")
        raise Refused(f"the device refuses: {answer.code}{': ' + why if why else ''}")


async def change(eui, pairings, found, address=ADDRESS, say=lambda state: None, patience_s=_TRIAL_S):
    """Bring settings to a device in its window, and watch the trial; the last state that it told.

    pairings: those that it may have, the likeliest first. found: as `request`; {} only asks. say(state): each new one.
    Raises NoAnswer and Refused.
    """
    for pairing in pairings:
        visit = Visit(eui, pairing, address)
        try:
            if await visit.open():
                return await _changed(visit, found, say, patience_s)
        finally:
            await visit.close()
    raise NoAnswer(f"{address}: it is there, and has another pairing than that of {eui}")


async def _changed(visit, found, say, patience_s):
    if found:
        check(await visit.ask(codes.PUT, request(found)))
    end = asyncio.get_running_loop().time() + patience_s
    state = None
    while True:
        try:
            answer = await visit.ask(codes.GET)
        except NoAnswer:
            if state is None:
                raise
            return state  # the window was closed, or the radio went to another channel
        check(answer)
        now = told(answer.payload)
        if state is None or (now["state"], now["why"]) != (state["state"], state["why"]):
            say(now)
        state = now
        if state["state"] != "trying" or asyncio.get_running_loop().time() > end:
            return state
        await asyncio.sleep(_AGAIN_S)
