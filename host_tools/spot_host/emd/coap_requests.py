"""What people ask of devices over CoAP through the running EMD: `spot coap`, by the table of requests.

A second process with the EMD's keys would repeat its sequence numbers, and a repeated number gives the key stream away;
a context of its own for each tool and device would have to be provisioned on every device. So the EMD asks for them.
"""

import collections
import itertools
import time

from spot_host.emd.coap import why

_MOST = 8  # observations at a time
_IDLE_S = 120.0  # one that nobody reads from is ended


class _Watch:
    def __init__(self):
        self.new, self.future, self.read_at = collections.deque(maxlen=100), None, time.monotonic()


class Watches:
    """`start(request, wait_s)` gives a function that returns the result, or None while there is none."""

    def __init__(self, coap):
        self._coap, self._watches, self._numbers = coap, {}, itertools.count(1)

    def start(self, request: dict, wait_s: float):
        do = request["do"]
        self._sweep()
        if do == "coap":
            body = bytes.fromhex(request.get("payload", ""))
            return _ready(
                self._coap.ask(
                    request["device"], request["method"], request["path"], body, request.get("query", ()),
                    request.get("format"),
                )
            )  # fmt: skip
        if do == "coap_directory":
            return _ready(self._coap.directory(), lambda held: {"endpoints": held})
        if do == "coap_watch":
            return self._watch(request)
        if do == "coap_next":
            watch = self._watches[request["watch"]]
            watch.read_at = time.monotonic() + wait_s
            return lambda: _next(watch)
        if do == "coap_end":
            self._end(request["watch"])
            return lambda: {"ok": True}
        raise ValueError(f"{do}: no such request")

    def _watch(self, request):
        if len(self._watches) >= _MOST:
            raise ValueError(f"{_MOST} observations are as many as there may be; end one")
        number, watch = next(self._numbers), _Watch()
        watch.future = self._coap.observe(request["device"], request["path"], watch.new.append)
        self._watches[number] = watch

        def first():
            if not watch.new and not watch.future.done():
                return None
            result = _next(watch)
            if "error" in result:
                self._end(number)
                return result
            return {**result, "watch": number}

        return first

    def _end(self, number):
        watch = self._watches.pop(number, None)
        if watch is not None:
            watch.future.cancel()

    def _sweep(self):
        for number, watch in list(self._watches.items()):
            if time.monotonic() - watch.read_at > _IDLE_S:
                self._end(number)


def _next(watch):
    if watch.new:
        return {"ok": True, **watch.new.popleft()}
    if not watch.future.done():
        return None
    return _failure(watch.future) or {"ok": True, "over": True}


def _ready(future, shape=lambda result: result):
    def ready():
        if not future.done():
            return None
        failure = _failure(future)
        return failure if failure is not None else {"ok": True, **shape(future.result())}

    return ready


def _failure(future):
    if future.cancelled():
        return {"error": "ended", "code": 5}
    exc = future.exception()
    if exc is None:
        return None
    if isinstance(exc, KeyError):
        return {"error": f"{exc.args[0]} is not on CoAP now; `spot emd devices` says how it is connected", "code": 5}
    return {"error": f"the device did not answer: {why(exc)}", "code": 5}
