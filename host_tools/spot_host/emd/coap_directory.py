"""The resource directory (RFC 9176): aiocoap's registrations, with an end of a lease that is heard, what of them is
kept over a restart of the EMD, and our lookups."""

import asyncio
import time

from aiocoap import error
from aiocoap.cli.rd import CommonRD
from aiocoap.resource import Resource, link_format_to_message
from aiocoap.util.linkformat import Link, LinkFormat, link_header, parse


class Registration(CommonRD.Registration):
    """Knows the end of its lease from a registration that was taken back."""

    lapsed = staticmethod(lambda eui: None)

    def _set_timeout(self):
        self.timeout = asyncio.get_running_loop().call_later(self.lt + self.grace_period, self._lapse)

    def _lapse(self):
        self.delete()
        self.lapsed(self.registration_parameters["ep"][0])

    def record(self) -> dict:
        """What `Directory.take_up` makes it from again. until: Unix s at which its lease and the grace period end."""
        left = self.timeout.when() - asyncio.get_running_loop().time()
        return {"path": list(self.path), "base": self.base, "lt": self.lt, "until": int(time.time() + left),
                "links": str(self.links)}  # fmt: skip


class Directory(CommonRD):
    """aiocoap's, whose registrations can be taken up again after a restart. lapsed(EUI): a lease is over."""

    entity_prefix = ("reg",)

    def __init__(self, lapsed):
        super().__init__()
        self.Registration = type("Registration", (Registration,), {"lapsed": staticmethod(lapsed)})
        self._path = None

    def _new_pathtail(self):
        return self._path or super()._new_pathtail()

    def take_up(self, eui: str, record: dict) -> bool:
        """A registration from its record, at the path where its device renews it; False when its lease is over."""
        left = min(record["until"] - time.time(), record["lt"] + Registration.grace_period)  # clocks are set, too
        path = tuple(record["path"][len(self.entity_prefix) :])
        if left <= 0 or path in self._by_path:
            return False
        try:
            links = parse(record["links"])
        except link_header.ParseException:  # a few that were read once are not when they are written out
            return False
        self._path = path
        try:
            made = self.initialize_endpoint(None, {"ep": [eui], "lt": [str(record["lt"])], "base": [record["base"]]})
        finally:
            self._path = None
        made.links = links
        made.timeout.cancel()
        made.timeout = asyncio.get_running_loop().call_later(left, made._lapse)
        return True


class Lookup(Resource):
    """RFC 9176, section 6.2, over aiocoap's registrations: its own lookups take only the last of several criteria."""

    def __init__(self, directory, resources):
        super().__init__()
        self._directory, self._resources = directory, resources

    async def render_get(self, request):
        query = [q.partition("=") for q in request.opt.uri_query]
        paging = {name: value for name, _, value in query if name in ("page", "count")}
        criteria = [(name, value) for name, _, value in query if name not in paging]
        found = []
        for registration in self._directory.get_endpoints():
            here = registration.base + "/"  # nobody registers what is at another's
            links = [link for link in registration.get_based_links().links if link.href.startswith(here)]
            if not self._resources:
                if all(_registered_as(registration, c) or any(_has(link, c) for link in links) for c in criteria):
                    found.append(registration.get_host_link())
                continue
            for link in links:
                if all(_has(link, c) or _registered_as(registration, c) for c in criteria):
                    found.append(Link(link.href, [(k, v) for k, v in link.attr_pairs if k != "anchor"]))
        if paging:
            try:
                count, page = int(paging["count"]), int(paging.get("page", "0"))
            except (KeyError, ValueError):
                raise error.BadRequest("page needs count, and both are numbers") from None
            found = found[page * count : page * count + count] if page >= 0 < count else []
        return link_format_to_message(request, LinkFormat(found))


def _has(link, criterion):
    name, want = criterion
    if name == "href":
        return _is(link.href, want)
    values = [v or "" for k, v in link.attr_pairs if k == name]
    return any(_is(word, want) for value in values for word in (value.split() if name in ("rt", "if") else (value,)))


def _registered_as(registration, criterion):
    name, want = criterion
    if name == "href":
        return _is(registration.href, want)
    if name == "rt":
        return _is("core.rd-ep", want)
    return any(_is(value or "", want) for value in registration.registration_parameters.get(name, ()))


def _is(value, want):
    return value.startswith(want[:-1]) if want.endswith("*") else value == want
