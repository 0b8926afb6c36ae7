"""Whole answers out of events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw
from routeiq_sdk.openai_chunks import head, is_native
from routeiq_sdk.openai_family import error_body, unchanged, write_usage
from routeiq_sdk.request import Request
from routeiq_sdk.stream import Annotation, Error, Event, MessageStart, Opaque, Usage, UsageParts
from routeiq_sdk.surrogates import dump
from routeiq_sdk.wire import mend

from .answer import Answer, Piece
from .chunks import FACTS, ID_PREFIX, KIND, NAME, PARAMS

_tokens = msgspec.json.Decoder(list[Raw])


def collect(events: Iterable[Event], request: Request, losses: list[str], created_s: int) -> bytes:
    got = list(events)
    if (body := unchanged(got, NAME)) is not None:
        return body
    error = next((event for event in got if isinstance(event, Error)), None)
    if error is not None:
        return error_body(NAME, error, PARAMS)
    start = next((event for event in got if isinstance(event, MessageStart)), MessageStart())
    answer = Answer(request)
    answer.native_stops = is_native(start, KIND)
    choices: dict[int, _Joined] = {}
    facts: dict[str, Any] = {}
    parts: UsageParts | None = None
    for event in got:
        if isinstance(event, Usage):
            parts = event.parts.over(parts) if parts else event.parts
        elif isinstance(event, Annotation) and event.scope == "message":
            facts |= {event.name: Raw(event.raw)} if event.name in FACTS else {}
            answer.report(event)
        elif isinstance(event, Opaque):
            answer.report(event)
        else:
            for piece in answer.pieces(event):
                choices.setdefault(piece.choice, _Joined(piece.choice)).add(piece)
    choices = choices or {0: _Joined(0)}
    losses.extend(answer.losses)
    made = head(start, request, created_s, KIND, ID_PREFIX) | {"choices": [choices[n].made() for n in sorted(choices)]} | facts
    if parts is not None:
        made["usage"] = write_usage(parts)
    return dump(made)


class _Joined:
    """One choice. Texts are kept in pieces and joined once."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._texts: dict[str, list[str]] = {}
        self._lists: dict[str, list[Any]] = {}
        self._calls: list[tuple[dict[str, Any], str, dict[str, list[str]]]] = []
        self._objects: dict[str, dict[str, Any]] = {}
        self._weights: dict[str, list[Raw]] = {}
        self._rest: dict[str, Any] = {}
        self._extra: dict[str, Any] = {}
        self._finish: str | None = None

    def add(self, piece: Piece) -> None:
        for name, value in piece.delta.items():
            if name == "tool_calls":
                self._add_call(value[0])
            elif isinstance(value, str):
                self._texts.setdefault(name, []).append(value)
            elif isinstance(value, list):
                self._lists.setdefault(name, []).extend(value)
            elif isinstance(value, dict):
                _add_texts(self._objects.setdefault(name, {}), value)
            else:
                self._rest[name] = value
        for name, value in piece.extra.items():
            if name == "logprobs":
                self._add_weights(value)
            else:
                self._extra[name] = value
        self._finish = piece.finish or self._finish

    def _add_call(self, fragment: dict[str, Any]) -> None:
        kind = "custom" if "custom" in fragment else "function"
        if fragment["index"] == len(self._calls):
            shell = {name: value for name, value in fragment.items() if name not in ("index", kind)}
            self._calls.append((shell, kind, {}))
        _add_texts(self._calls[fragment["index"]][2], fragment[kind])

    def _add_weights(self, weights: dict[str, Any]) -> None:
        for name, tokens in weights.items():
            if tokens is not None:
                self._weights.setdefault(name, []).extend(_tokens.decode(mend(bytes(tokens))))

    def made(self) -> dict[str, Any]:
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        calls = [{**shell, kind: _joined(inner)} for shell, kind, inner in self._calls]
        message: dict[str, Any] = {"role": "assistant", "content": texts.pop("content", "") or None, "refusal": texts.pop("refusal", None)}
        texts.pop("role", None)
        message |= texts | self._lists | ({"tool_calls": calls} if calls else {})
        message |= {name: _joined(inner) for name, inner in self._objects.items()} | self._rest
        if "audio" in message and isinstance(message["audio"], dict):
            message["audio"] = {"id": "", "data": "", "expires_at": 0, "transcript": ""} | message["audio"]
        elif message["content"] is None and message["refusal"] is None and not calls and "function_call" not in message:
            message["content"] = ""
        weights = {"content": None, "refusal": None, **self._weights} if self._weights else None
        choice = {"index": self._number, "message": message, "logprobs": weights}
        return choice | self._extra | {"finish_reason": self._finish or "stop"}


def _add_texts(target: dict[str, Any], fragment: dict[str, Any]) -> None:
    for name, value in fragment.items():
        if isinstance(value, str):
            target.setdefault(name, []).append(value)
        else:
            target[name] = value


def _joined(inner: dict[str, Any]) -> dict[str, Any]:
    return {name: "".join(value) if isinstance(value, list) else value for name, value in inner.items()}
