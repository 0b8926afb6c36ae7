"""The gateway's models as this format lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from routeiq_sdk.errors import ClientError
from routeiq_sdk.wire import Asked, ModelEntry

from .wire import write

METHODS = ("generateContent", "countTokens")
PAGE, MOST = 50, 1000


def answer(models: Sequence[ModelEntry], asked: Asked) -> bytes:
    """A page of the list, or the one model that the path names. Raises `ClientError`."""
    if "model" in asked.params:
        return write(_entry(models[0]))
    query = parse_qs(asked.query)
    size = min(_number(query, "pageSize", PAGE) or PAGE, MOST)
    start = _number(query, "pageToken", 0)
    page: dict[str, Any] = {"models": [_entry(model) for model in models[start : start + size]]}
    if start + size < len(models):
        page["nextPageToken"] = str(start + size)
    return write(page)


def _number(query: dict[str, list[str]], name: str, default: int) -> int:
    given = query.get(name, [""])[0]
    if not given:
        return default
    if not (given.isascii() and given.isdecimal() and len(given) < 10):
        raise ClientError(f"{name}: expected a number", param=name)
    return int(given)


def _entry(model: ModelEntry) -> dict[str, Any]:
    limits = {"inputTokenLimit": model.max_input_tokens, "outputTokenLimit": model.max_output_tokens}
    known = {name: limit for name, limit in limits.items() if limit is not None}
    return {"name": f"models/{model.id}", "displayName": model.id, **known, "supportedGenerationMethods": METHODS}
