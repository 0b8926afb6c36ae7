"""The contract that every plugin keeps."""

from __future__ import annotations

from routeiq_sdk.testing import PluginContract


class TestFormatAnthropic(PluginContract):
    plugin = "format_anthropic"
    path = "/v1/messages"
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello."}]}
    headers = {"anthropic-version": "2023-06-01"}
