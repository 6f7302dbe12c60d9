"""Firmware for a fleet: releases on the shelf, offers, pieces within bounds, and the campaigns that decide.

A device gets octets of a release only while a live campaign has offered it that very release, and only so many a
second: a device that asks for more, for another's or for nothing that is there costs a look into a table.
"""

import base64
import binascii

from spot_host.emd.campaign import UNDER_WAY, Campaign, Pace
from spot_host.emd.intake import REASON, Refused
from spot_host.emd.ledger import REASON_NAMES, STATE_NAMES
from spot_host.profile import codec
from spot_host.profile import definition as d

RATE, BURST = 8192, 16384  # octets a second that one device gets, and at once
ALL_RATE, ALL_BURST = 262_144, 524_288  # that all get together
_PIECE = d.message("piece").code
_ALARM_NAMES = {code: name for code, name, _ in d.enum("Alarm").rows}
_MOST_RELEASES = 16  # in one campaign
READING = (*UNDER_WAY, "silent")  # who may come for it
TICK_S = 10  # between two looks at who is silent, and who is next


class _Bucket:
    """Tokens that come back with time."""

    __slots__ = ("_rate", "_burst", "_left", "_at")

    def __init__(self, rate, burst, now):
        self._rate, self._burst, self._left, self._at = rate, burst, burst, now

    def take(self, now, count):
        """Whether `count` are there; then they are gone."""
        self._left = min(self._burst, self._left + max(0, now - self._at) * self._rate)
        self._at = now
        if count > self._left:
            return False
        self._left -= count
        return True


class Shelf:
    """Releases by the resource's name, and who may read which. May be used from the thread of a link, too: each
    change is one assignment in a table."""

    def __init__(self):
        self._files, self._grants, self._buckets, self._all = {}, {}, {}, None
        self.heard = {}  # EUI: octets read since somebody looked
        self.refused = self.slowed = 0

    def put(self, resource: str, octets: bytes) -> None:
        self._files[resource] = octets

    def keep(self, resources) -> None:
        """Forget all others."""
        self._files = {name: octets for name, octets in self._files.items() if name in resources}

    def grant(self, eui: str, resource: str, may: bool = True) -> None:
        """The device may read this resource, and no other; or no longer this one."""
        if may:
            self._grants[eui] = resource
        elif self._grants.get(eui) == resource:
            del self._grants[eui]
            self._buckets.pop(eui, None)

    def find(self, eui: str, resource: str) -> bytes | None:
        """The whole release, None where the device may not have it. Counted."""
        if self._grants.get(eui) == resource:
            octets = self._files.get(resource)
            if octets is not None:
                return octets
        self.refused += 1
        return None

    def allowed(self, now: float, eui: str, count: int) -> bool:
        """Whether the device may have so many octets now; then they count as read. now: of one clock, any."""
        bucket = self._buckets.get(eui)
        if bucket is None:
            bucket = self._buckets[eui] = _Bucket(RATE, BURST, now)
            self._all = self._all or _Bucket(ALL_RATE, ALL_BURST, now)
        if not bucket.take(now, count) or not self._all.take(now, count):
            self.slowed += 1
            return False
        self.heard[eui] = self.heard.get(eui, 0) + count
        return True


class Updates:
    """The campaigns of an EMD. devices: its rows by EUI; send(row, body); offer_id(row): a new id of the row's ledger;
    epoch(): the EMD's; at(due): a timer that comes back as `step`; fresh_s: who was heard within is there."""

    def __init__(self, storage, devices, send, offer_id, epoch, at, fresh_s):
        self._storage, self._devices, self._send, self._offer_id = storage, devices, send, offer_id
        self._epoch, self._at, self._fresh_s = epoch, at, fresh_s
        self.shelf, self.campaigns, self._due = Shelf(), {}, None

    def load(self, now: int) -> None:
        """Take up what a restart interrupted; who was under way is not silent for that."""
        for record, members in self._storage.load_campaigns():
            campaign = self.campaigns[record["id"]] = Campaign.from_record(record, members)
            for member in campaign.members.values():
                member.heard_at = now
            if campaign.state != "ended":
                for release in campaign.releases:
                    self.shelf.put(release["resource"], self._storage.load_release(release["resource"]))
            self._granted(campaign, campaign.members)
        self._want(now)

    # People

    def start(self, now: int, files: list, pace: dict, devices=None) -> Campaign:
        """A new campaign. files: [{"octets": base64 of a release, "model": what its devices register as, or None}];
        devices: EUIs, None for all that register as one of these models. Raises ValueError, UserError."""
        from spot_host import suit  # and with it the library for LMS, which nothing else here needs

        pace = Pace(**pace).check()
        if not isinstance(files, list) or not 0 < len(files) <= _MOST_RELEASES:
            raise ValueError(f"1 to {_MOST_RELEASES} releases")
        releases, contents = [], []
        for file in files:
            try:
                octets = base64.b64decode(file["octets"], validate=True)
            except binascii.Error as exc:
                raise ValueError("octets: no base64") from exc
            made, model = suit.read(octets), file.get("model")
            if not made.signature:
                raise ValueError("a release that is not signed reaches devices over a cable only")
            m = made.manifest
            if devices is None and not model:
                raise ValueError(f"{m.board}: what do its devices register as? Or name the devices")
            releases.append({
                "resource": made.digest.hex()[:16], "sequence": m.sequence, "version": m.version, "board": m.board,
                "model": model, "size": len(octets), "digest": made.digest.hex()})
            contents.append(octets)
        boards = [r["board"] for r in releases]
        if len(set(boards)) < len(boards):
            raise ValueError("two releases for one board in one campaign")
        followed = []
        for other in self.campaigns.values():
            for r, before in ((r, before) for r in releases for before in other.releases):
                if (r["board"], r["sequence"]) == (before["board"], before["sequence"]) and (
                        r["digest"] != before["digest"]):
                    raise ValueError(f"another release for {r['board']} has sequence {r['sequence']} in campaign "
                                     f"{other.id}: who runs that one would not take this one; build it anew")
            both = set(boards) & {r["board"] for r in other.releases}
            if not both or other.state == "ended" or not (
                    devices is None or other.devices is None or set(devices) & set(other.devices)):
                continue
            if other.state == "over":
                followed.append(other)
            else:
                raise ValueError(f"campaign {other.id} for {', '.join(sorted(both))} is {other.state}: end it first, "
                                 f"`spot update halt {other.id} --end`")
        if devices is not None:
            unknown = [eui for eui in devices if eui not in self._devices]
            if unknown:
                raise ValueError(f"no device {unknown[0]}")
        for release, octets in zip(releases, contents, strict=True):
            self.shelf.put(release["resource"], octets)
            self._storage.put_release(release["resource"], octets)
        campaign = Campaign(1 + max(self.campaigns, default=0), releases, pace, now, devices)
        self.campaigns[campaign.id] = campaign
        for other in followed:  # who comes later gets the newer one
            other.end(now, f"campaign {campaign.id} follows")
        for row in self._devices.values():
            self._consider(now, campaign, row)
        self._note(now, campaign, f"started: {', '.join(r['board'] + ' ' + r['version'] for r in releases)}, "
                                  f"{len(campaign.members)} devices known")
        self._changed(now)
        self._storage.commit()  # a person is told that it is so
        return campaign

    def find(self, id_: int | None) -> Campaign:
        """The campaign, the latest for None. Raises ValueError."""
        if id_ is None and self.campaigns:
            id_ = max(self.campaigns)
        if id_ not in self.campaigns:
            raise ValueError(f"no campaign {id_}" if id_ is not None else "there is no campaign")
        return self.campaigns[id_]

    def halt(self, now: int, id_: int | None, why: str = "by hand") -> Campaign:
        campaign = self.find(id_)
        if not campaign.live:
            raise ValueError(f"campaign {campaign.id} is {campaign.state}" + (
                f": {campaign.why}" if campaign.why else ""))
        campaign.halt(now, why)
        self._changed(now)
        self._storage.commit()
        return campaign

    def resume(self, now: int, id_: int | None, retry: bool = False) -> Campaign:
        campaign = self.find(id_)
        campaign.resume(now, retry)
        self._note(now, campaign, "resumed" + (", who failed is asked again" if retry else ""))
        self._changed(now)
        self._storage.commit()
        return campaign

    def end(self, now: int, id_: int | None) -> Campaign:
        campaign = self.find(id_)
        campaign.end(now)
        self._changed(now)
        self._storage.commit()
        return campaign

    # Devices

    def registered(self, now: int, row) -> None:
        """The device has registered, or said what changed."""
        for campaign in self.campaigns.values():
            if campaign.state != "ended":
                self._consider(now, campaign, row)
        self._changed(now)

    def status(self, now: int, row, f: dict) -> bool:
        """A status of the device: True when it was about an offer."""
        for campaign in self.campaigns.values():
            member = campaign.members.get(row.eui)
            if member is not None and member.offer == f["id"]:
                campaign.status(now, row.eui, STATE_NAMES[f["state"]], REASON_NAMES.get(f["reason"], str(f["reason"])))
                self._changed(now)
                return True
        return False

    def alarm(self, now: int, row, code: int, value) -> None:
        """An alarm that the device has raised."""
        for campaign in self.campaigns.values():
            if row.eui in campaign.members and campaign.state != "ended":
                campaign.alarm(now, row.eui, _ALARM_NAMES.get(code, ""), value)
                self._changed(now)

    def piece(self, now: int, row, f: list) -> None:
        """A device asks for octets. Raises Refused for what no device asks."""
        _, id_, offset, count, octets = f
        if octets is not None:
            raise Refused(REASON["malformed"], _PIECE, 3, text="octets of a release from a device")
        member = release = None
        for campaign in self.campaigns.values():
            found = campaign.members.get(row.eui)
            if found is not None and found.offer == id_:
                member, release = found, campaign.releases[found.release]
                if not campaign.live or found.state not in READING:
                    self.shelf.refused += 1  # it does not know yet that this stands still
                    return
        if member is None:
            self.shelf.refused += 1
            raise Refused(REASON["unknown_id"], _PIECE, 0, ref=id_, text=f"a piece of offer {id_}, which is not open")
        whole = self.shelf.find(row.eui, release["resource"])
        if whole is None or offset >= len(whole):
            raise Refused(REASON["out_of_range"], _PIECE, 1, ref=id_, text=f"a piece at {offset}")
        part = whole[offset:offset + count]
        if self.shelf.allowed(now, row.eui, len(part)):  # else it asks again: it is best effort
            self._send(row, codec.encode("piece", {"id": id_, "offset": offset, "count": len(part), "octets": part}),
                       False)

    # Time

    def step(self, now: int, due: int) -> None:
        """A timer has come back; those that another one took the place of are nothing."""
        if due != self._due:
            return
        self._due = None
        self._heard(now)
        for campaign in self.campaigns.values():
            for member in campaign.step(now, lambda eui: self._present(now, eui)):
                self._offer(campaign, member)
        self._changed(now, soon=False)

    def moved(self, by: int) -> None:
        """The host's clock was set back by so many seconds, and the timers with it."""
        if self._due is not None:
            self._due -= by
        for campaign in self.campaigns.values():
            campaign.moved(by)

    def _heard(self, now):
        heard, self.shelf.heard = self.shelf.heard, {}
        for eui in heard:
            for campaign in self.campaigns.values():
                if campaign.live:
                    campaign.heard(now, eui)

    def _present(self, now, eui):
        row = self._devices.get(eui)
        return row is not None and row.registered and row.online != 0 and now - row.heard_at <= self._fresh_s

    def _consider(self, now, campaign, row):
        """Whether the device is one of the campaign's, and what it runs."""
        member, capability = campaign.members.get(row.eui), row.capability
        if member is None:
            if capability is None or not row.registered or not capability.serves("firmware"):
                return
            if campaign.devices is not None and row.eui not in campaign.devices:
                return
            fits = [i for i, r in enumerate(campaign.releases) if r["model"] and r["model"] == capability.model]
            if not fits and campaign.devices is not None and len(campaign.releases) == 1:
                fits = [0]  # named by a person; the device itself is the last to say
            if not fits:
                return
            campaign.join(now, row.eui, fits[0])
        if capability is not None and capability.sequence is not None:
            campaign.version(now, row.eui, capability.sequence)

    def _offer(self, campaign, member):
        row, release = self._devices[member.eui], campaign.releases[member.release]
        if member.offer is None:
            member.offer = self._offer_id(row)
            campaign.changed[member.eui] = member
        body = codec.encode("firmware_offer", {
            "epoch": self._epoch(), "id": member.offer, "sequence": release["sequence"], "version": release["version"],
            "size": release["size"], "digest": bytes.fromhex(release["digest"]), "resource": release["resource"]})
        self._send(row, body, True)

    def _changed(self, now, soon=True):
        """Keep what has changed, before anything that was decided leaves."""
        storage, moved = self._storage, False
        for campaign in self.campaigns.values():
            moved |= bool(campaign.changed or campaign.dirty)
            self._granted(campaign, campaign.members if campaign.news else campaign.changed)
            for member in campaign.changed.values():
                storage.put_campaign_member(campaign.id, vars(member))
            campaign.changed = {}
            if campaign.dirty:
                campaign.dirty = False
                storage.put_campaign(campaign.record())
            if campaign.news:
                campaign.news = False
                self._note(now, campaign, campaign.state + (f": {campaign.why}" if campaign.why else ""))
                self.shelf.keep({release["resource"] for one in self.campaigns.values() if one.state != "ended"
                                 for release in one.releases})
        if moved or not soon:
            self._want(now + 1 if soon else now + TICK_S)

    def _granted(self, campaign, members):
        """Who may read the campaign's releases: those of `members` that it has offered them, while it lives."""
        for eui, member in members.items():
            self.shelf.grant(eui, campaign.releases[member.release]["resource"],
                             campaign.live and member.state in READING)

    def _want(self, due):
        if any(campaign.live for campaign in self.campaigns.values()) and (self._due is None or due < self._due):
            self._due = due
            self._at(due)

    def _note(self, now, campaign, text):
        self._storage.add_log(now, None, "update", f"campaign {campaign.id} {text}")
