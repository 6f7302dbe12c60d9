"""The messages by which a device introduces itself: register, update, unregister, and the link's retained word."""

from array import array

from spot.codes import (
    ABSENT,
    CH_LINK,
    CH_REGISTER,
    ONLINE_LEAVING,
    ONLINE_ONLINE,
    SERVICE_CONFIGURE,
    SERVICE_FORECAST,
    SERVICE_INTERVAL,
    SERVICE_PRICE,
    SERVICE_READ,
    SERVICE_SCHEDULE,
    T_LINK,
    T_REGISTER,
    T_UNREGISTER,
    T_UPDATE,
    VERSION,
)
from spot.wire import profile
from spot.wire.fields import LNK_BOOT, LNK_COUNT, LNK_ONLINE, LNK_TIME

# Fields of `register` and `update` behind eui64 and boot, in the order of their table
_NAMES = (
    "reset", "profile", "versions", "firmware", "power_max", "power_min", "standby", "methods", "saving", "services",
    "limit_min", "steps", "min_run", "min_pause", "max_block", "starts_per_hour", "reaction", "ramp", "comfort_low",
    "comfort_high", "relay_wear", "flash_wear", "objects", "model", "sequence",
)
_WEARING = ("relay_wear", "flash_wear")  # these move by themselves: not worth an update
# What the agent does for every device
SERVICES = (
    SERVICE_SCHEDULE | SERVICE_INTERVAL | SERVICE_READ | SERVICE_CONFIGURE | SERVICE_PRICE | SERVICE_FORECAST
)
_NEEDED = ("power_max", "power_min", "standby", "methods", "saving", "services")


class Hello:
    """register(), update(now_s) and unregister() send; True when the link took it. without: SERVICE_… of the agent that
    this EMD does not get."""

    def __init__(self, identity, device, clock, out, tx, without):
        self._identity = identity
        self._device = device
        self._clock = clock
        self._out = out
        self._tx = tx
        self._services = SERVICES & ~without
        self._link = array("i", [ABSENT] * LNK_COUNT)
        self.told = {}  # what the EMD knows

    def describe(self):
        """All fields of the register message by name: the device's own, the identity's and the agent's."""
        identity = self._identity
        fields = dict(self._device.description())
        fields["reset"] = identity.reset
        fields["profile"] = identity.profile
        fields["versions"] = (1 << VERSION) - 1
        fields["firmware"] = identity.firmware
        if identity.model:
            fields["model"] = identity.model
        for name in _NEEDED:
            if fields.get(name) is None:
                fields[name] = 0
        fields["services"] |= self._services
        return fields

    def changed(self):
        """True when something that matters is no longer as it was told."""
        now = self.describe()
        for name in _NAMES:
            if name not in _WEARING and now.get(name) != self.told.get(name):
                return True
        return False

    def register(self):
        fields = self.describe()
        values = [self._identity.eui64, self._identity.boot]
        for name in _NAMES:
            values.append(fields.get(name))
        self.told = fields
        return self._out.send(CH_REGISTER, self._tx, profile.encode(T_REGISTER, values, self._tx), False)

    def update(self, before):
        """Sends what differs from `before`, the description that the EMD has confirmed."""
        fields = self.describe()
        values = [self._identity.eui64, self._identity.boot]
        for name in _NAMES:
            value = fields.get(name)
            values.append(None if value == before.get(name) else value)
        self.told = fields
        return self._out.send(CH_REGISTER, self._tx, profile.encode(T_UPDATE, values, self._tx), False)

    def unregister(self, reason):
        values = [self._identity.eui64, self._identity.boot, reason]
        return self._out.send(CH_REGISTER, self._tx, profile.encode(T_UNREGISTER, values, self._tx), False)

    def link(self, now_s, leaving=False):
        """The retained message that replaces the last will."""
        slots = self._link
        slots[LNK_ONLINE] = ONLINE_LEAVING if leaving else ONLINE_ONLINE
        slots[LNK_BOOT] = self._identity.boot
        slots[LNK_TIME] = self._clock.utc(now_s)
        return self._out.send(CH_LINK, self._tx, profile.encode_hot(T_LINK, slots, self._tx), False)
