"""The contract that every plugin keeps."""

from __future__ import annotations

from routeiq_sdk.testing import PluginContract


class TestFormatResponses(PluginContract):
    plugin = "format_responses"
    path = "/v1/responses"
    body = {"model": "m", "input": "Hello."}
