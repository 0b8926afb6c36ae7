"""Deployments and where they are bound to, for the tests beside it."""

from __future__ import annotations

from typing import Any

from routeiq_provider_http.binding import bind
from routeiq_provider_http.table import PROVIDERS
from routeiq_sdk import Deployment, Secret
from routeiq_sdk.testing import deployment

ROWS = {row.name: row for row in PROVIDERS}
CHAT, MESSAGES, COUNT = "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"
GENERATE = "/v1beta/models/g:generateContent"


def made(provider: str = "openai", key: str | None = "sk-1", **fields: Any) -> Deployment:
    return deployment("group", provider=provider, model="model", api_key=Secret(key) if key is not None else None, **fields)


def url(provider: str, path: str, api_base: str | None = None) -> str:
    return bind(ROWS[provider], made(provider, api_base=api_base)).url(path)
