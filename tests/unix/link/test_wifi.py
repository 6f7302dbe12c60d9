"""Wi-Fi on MicroPython with a station that does what chips do: refuses, joins late, is lost, joins again."""

_CODE = '''
from spot.link import wifi as module
from spot.log import Log
from spot.port import asyncio

class Station:
    joined = False
    attempts = []
    fail = 1
    broken = 0
    def __init__(self, interface): assert interface == 7
    def active(self, on): self.on = on
    def isconnected(self):
        if Station.broken:
            Station.broken -= 1
            raise TypeError("a port's own")
        return self.joined
    def ifconfig(self): return ("192.0.2.9", "", "", "192.0.2.1" if self.joined else "0.0.0.0")
    def status(self, what=None):
        if what == "rssi": return -61
        return 3
    def connect(self, ssid, password):
        Station.attempts.append((ssid, password))
        if Station.fail:
            Station.fail -= 1
            raise OSError(5)
        asyncio.create_task(self.later())
    async def later(self):
        await asyncio.sleep_ms(5)
        Station.joined = True
    def disconnect(self): pass

class network:
    STA_IF = 7
    WLAN = Station
    said = []
    def country(c): network.said.append(c)
    def hostname(c): network.said.append(c)

async def until(condition):
    for _ in range(5000):
        if condition(): return
        await asyncio.sleep_ms(2)
    raise AssertionError(condition)

async def main():
    log = Log(16, 0)
    config = {"ssid": "home", "password": "secret", "country": "DE", "hostname": "plug", "join_ms": 500, "rest_s": 0}
    module.network = network
    wifi = module.start(config, log)
    assert network.said == ["DE", "plug"], network.said
    assert module.name_servers() == [] and not wifi.is_up
    await until(lambda: log.counts.get("wifi.error"))
    await until(lambda: Station.attempts[1:])
    await until(lambda: log.counts.get("wifi.up") == 1)
    assert module.name_servers() == ["192.0.2.1"] and wifi.rssi() == -61
    Station.joined = False
    await until(lambda: log.counts.get("wifi.up") == 2)
    assert log.counts["wifi.lost"] == 1 and set(Station.attempts) == {("home", "secret")}
    Station.broken = 1
    await until(lambda: log.counts.get("wifi.raised") == 1)
    await until(lambda: log.counts.get("wifi.up") == 3)
    Station.joined = False
    await until(lambda: log.counts.get("wifi.up") == 4)
    assert "TypeError" in log.trace
    wifi.task.cancel()
    print("right")

asyncio.run(main())
'''


def test_joins_and_joins_again(mpy):
    """An attempt that fails is repeated, a lost network is joined again, and the name server is handed out."""
    assert mpy(_CODE).strip() == "right"
