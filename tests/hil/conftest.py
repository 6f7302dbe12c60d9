"""The plugin, also where its entry point is not installed, and the target that only this repository has: rp2040."""

from spot_host.hil import plugin

_NAME = plugin.__name__  # also of the entry point


def pytest_addoption(parser, pluginmanager):
    if not pluginmanager.has_plugin(_NAME):
        pluginmanager.register(plugin, _NAME)


def pytest_hil_targets(config):
    from tests.hil.rp2040_target import Rp2040Target

    return {"rp2040": (Rp2040Target, "")}
