"""The list of models, in pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from routeiq_sdk.errors import ClientError
from routeiq_sdk.wire import ModelEntry

from .sse import write

DEFAULT_LIMIT, MOST = 20, 1000
_CREATED = "1970-01-01T00:00:00Z"
"""The format wants a time, and the configuration has none."""


def page(entries: Sequence[ModelEntry], query: str) -> bytes:
    """The page that `limit`, `after_id` and `before_id` ask for. Raises `ClientError`."""
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    limit = _limit(asked.get("limit"))
    start, end = 0, len(entries)
    if "after_id" in asked and "before_id" in asked:
        raise ClientError("before_id: cannot be used with after_id", param="before_id")
    if "after_id" in asked:
        start = _place(entries, asked["after_id"], "after_id") + 1
    if "before_id" in asked:
        end = _place(entries, asked["before_id"], "before_id")
        start = max(0, end - limit)
    shown = entries[start : min(end, start + limit)]
    has_more = start > 0 if "before_id" in asked else start + limit < end
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    return write({"data": [entry(each) for each in shown], "has_more": has_more, "first_id": first, "last_id": last})


def _limit(given: str | None) -> int:
    if given is None:
        return DEFAULT_LIMIT
    if not (given.isascii() and given.isdigit() and len(given) < 5 and 1 <= int(given) <= MOST):
        raise ClientError(f"limit: expected a number from 1 to {MOST}", param="limit")
    return int(given)


def _place(entries: Sequence[ModelEntry], id_: str, name: str) -> int:
    place = next((at for at, entry in enumerate(entries) if entry.id == id_), None)
    if place is None:
        raise ClientError(f"{name}: there is no model {id_!r}", param=name)
    return place


def entry(model: ModelEntry) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": "model", "id": model.id, "display_name": model.id, "created_at": _CREATED}
    limits = {"max_input_tokens": model.max_input_tokens, "max_tokens": model.max_output_tokens}
    return fields | {name: limit for name, limit in limits.items() if limit is not None}
