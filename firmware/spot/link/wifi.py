"""Wi-Fi on chips: join, stay joined, say which name servers there are. Unix has no `network`: there it is not used."""

from ..port import asyncio, const, network, ticks_add, ticks_diff, ticks_ms

_POLL_MS = const(250)
_LONGEST_S = const(60)


def name_servers():
    """For resolve.Resolver: the server that DHCP gave to the station; none while it is not joined."""
    address = network.WLAN(network.STA_IF).ifconfig()[3]
    return [] if address == "0.0.0.0" else [address]


def address():
    """The station's own address."""
    return network.WLAN(network.STA_IF).ifconfig()[0]


def start(config, log):
    """Join in the background, from when asyncio runs: the Wifi that does it."""
    wifi = Wifi(config, log)
    wifi.task = asyncio.create_task(wifi.run())
    return wifi


class Wifi:
    """Keeps a station joined. Config: `ssid`, `password`, maybe `hostname`, `country`, `join_ms` (for one attempt).

    Who changes the Wi-Fi changes `config` and `task` (network.py). Nothing blocks: `connect` of every port returns at
    once, and the state is looked at four times a second.
    """

    def __init__(self, config, log):
        if config.get("country"):
            network.country(config["country"])
        if config.get("hostname"):
            network.hostname(config["hostname"])
        self.station = network.WLAN(network.STA_IF)
        self.config = config
        self._log = log

    @property
    def is_up(self):
        return self.station.isconnected()

    def rssi(self):
        """dBm of the access point, or None where the port does not say."""
        try:
            return self.station.status("rssi")
        except (OSError, ValueError, TypeError):
            return None

    async def run(self):
        """Join, and join again whenever it is lost; what a port raises beside OSError costs a minute, not the link."""
        while True:
            try:
                await self._stay_joined()
            except Exception as error:
                self._log.failure("wifi.raised", error)
                await asyncio.sleep(self.config.get("rest_s", _LONGEST_S))

    async def _stay_joined(self):
        """With a pause between attempts that doubles to a minute."""
        pause_s = 1
        was_up = False
        while True:
            if self.is_up:
                if not was_up:
                    self._log.info("wifi.up")
                was_up, pause_s = True, 1
                await asyncio.sleep_ms(_POLL_MS)
                continue
            if was_up:
                was_up = False
                self._log.warn("wifi.lost")
            if not await self._join():
                self._log.warn("wifi.not_joined", self.station.status())
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_S)

    async def _join(self):
        station = self.station
        try:
            station.active(True)
            station.connect(self.config["ssid"], self.config["password"])
        except OSError as error:  # the ESP32 raises while an attempt is still under way
            self._log.warn("wifi.error", error.errno or 0)
        until = ticks_add(ticks_ms(), self.config.get("join_ms", 20000))
        while ticks_diff(until, ticks_ms()) > 0:
            if station.isconnected():
                return True
            await asyncio.sleep_ms(_POLL_MS)
        station.disconnect()
        return False
