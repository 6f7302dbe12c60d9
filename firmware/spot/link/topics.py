"""Topics: der/{utility}/{class}/{device}/{channel} and, for groups, der/{utility}/group/{group}/{channel}."""

from ..codes import CHANNELS
from .errors import LinkError

_MAX_FILTER = 120  # umqtt.simple writes the length of SUBSCRIBE in one octet
_GROUP_CLASS = "group"


def check_level(name, value):
    """`value`, when it is fit for one level of a topic: 1..64 letters, digits or -_. (else ValueError names it)."""
    if not value or len(value) > 64:
        raise ValueError("%s: 1 to 64 characters" % name)
    for character in value:
        if not (character.isalpha() or character.isdigit() or character in "-_.") or ord(character) > 126:
            raise ValueError("%s: only letters, digits and -_. in %r" % (name, value))
    return value


class Topics:
    """The topics of one device: `up[channel]` in bytes (None: not up), `filters()` to subscribe, `channel(topic)`.

    Raises ValueError where a part would make a topic that brokers or access rules misread.
    """

    def __init__(self, utility, device_class, device, groups=()):
        check_level("utility", utility)
        check_level("device", device)
        if check_level("class", device_class) == _GROUP_CLASS:
            raise ValueError("class: group is reserved")
        self._base = "der/%s/" % utility
        own = "%s%s/%s/" % (self._base, device_class, device)
        self.up = []
        self._in = {}
        self._command = b""
        for code, (name, way, _, _) in enumerate(CHANNELS):
            topic = (own + name).encode()
            self.up.append(topic if way == "up" else None)
            if way == "down":
                self._in[topic] = code
                self._command = topic
        self._groups = []
        for group in groups:
            self.add_group(group)
        if max(len(topic) for topic in self.filters()) > _MAX_FILTER:
            raise ValueError("utility, class and device: together too long for a topic of %d" % _MAX_FILTER)

    def add_group(self, group):
        """Listen to a group's channels; its filter, or None when it was there already."""
        check_level("groups", group)
        prefix = "%sgroup/%s/" % (self._base, group)
        wanted = (prefix + "+").encode()
        if wanted in self._groups:
            return None
        if len(wanted) > _MAX_FILTER:
            raise LinkError("too_long", len(wanted))
        self._groups.append(wanted)
        for code, (name, way, _, _) in enumerate(CHANNELS):
            if way == "group":
                self._in[(prefix + name).encode()] = code
        return wanted

    def filters(self):
        """Filters to subscribe to, in bytes: the commands, then each group."""
        return [self._command] + self._groups

    def channel(self, topic):
        """Channel code of a topic that came in, or -1."""
        return self._in.get(topic, -1)
