"""The contract that every plugin keeps."""

from __future__ import annotations

from routeiq_sdk.testing import PluginContract


class TestResilience(PluginContract):
    plugin = "resilience"
