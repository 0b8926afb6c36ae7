"""Our own plugins keep the contract that every plugin keeps."""

from __future__ import annotations

from pathlib import Path

from routeiq_sdk.testing import PluginContract

PLUGINS = Path(__file__).parents[2] / "plugins"


class TestAuthKeys(PluginContract):
    plugin = "auth_keys"


class TestFormatAnthropic(PluginContract):
    plugin = "format_anthropic"
    path = "/v1/messages"
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello."}]}
    headers = {"anthropic-version": "2023-06-01"}


class TestFormatOpenai(PluginContract):
    plugin = "format_openai"


class TestHttpClient(PluginContract):
    plugin = "http_client"


class TestProviderDemo(PluginContract):
    plugin = "provider_demo"


class TestProviderHttp(PluginContract):
    plugin = "provider_http"


class TestRoutingCore(PluginContract):
    plugin = "routing_core"


class TestStateMemory(PluginContract):
    plugin = "state_memory"


def test_every_first_party_plugin_is_in_this_list() -> None:
    tested = {cls.plugin for cls in PluginContract.__subclasses__() if cls.__module__ == __name__}
    assert tested == {path.parent.name for path in PLUGINS.glob("*/pyproject.toml")} - {"standard"}
