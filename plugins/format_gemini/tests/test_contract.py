"""The contract that every plugin keeps."""

from __future__ import annotations

from routeiq_sdk.testing import PluginContract


class TestFormatGemini(PluginContract):
    plugin = "format_gemini"
    path = "/v1beta/models/m:streamGenerateContent?alt=sse"
    body = {"contents": [{"role": "user", "parts": [{"text": "Hello."}]}]}


class TestGeminiArray(PluginContract):
    plugin = "format_gemini"
    path = "/v1beta/models/m:streamGenerateContent"
    body = {"contents": [{"role": "user", "parts": [{"text": "Hello."}]}]}
