"""Log probabilities: the parallel arrays of Completions ↔ the token objects that all formats share."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from routeiq_sdk.openai_family import UNREADABLE
from routeiq_sdk.wire import loads


def read_weights(given: Any) -> list[dict[str, Any]]:
    """From a choice's `logprobs`, whatever a provider put there."""
    if not isinstance(given, dict) or not isinstance(given.get("tokens"), list):
        return []
    chosen, tops = _list(given.get("token_logprobs")), _list(given.get("top_logprobs"))
    return [
        {
            "token": token,
            "logprob": chosen[at] if at < len(chosen) else None,
            "bytes": None,
            "top_logprobs": [
                {"token": other, "logprob": weight, "bytes": None}
                for other, weight in (tops[at].items() if at < len(tops) and isinstance(tops[at], dict) else ())
            ],
        }
        for at, token in enumerate(given["tokens"])
    ]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class Weights(Struct, gc=False):
    """The arrays of one choice as they grow; `offset` is where the next token stands in the text."""

    offset: int = 0

    def add(self, raw: str) -> dict[str, Any] | None:
        """The arrays for some more tokens."""
        try:
            tokens = loads(raw)
        except UNREADABLE:
            return None
        made: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for item in _list(tokens):
            if not isinstance(item, dict) or not isinstance(item.get("token"), str):
                continue
            made["tokens"].append(item["token"])
            made["token_logprobs"].append(item.get("logprob"))
            others = [other for other in _list(item.get("top_logprobs")) if isinstance(other, dict)]
            made["top_logprobs"].append({str(other.get("token")): other.get("logprob") for other in others})
            made["text_offset"].append(self.offset)
            self.offset += len(item["token"])
        return made
