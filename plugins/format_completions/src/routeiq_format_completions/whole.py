"""Whole answers out of events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Raw
from routeiq_sdk.openai_chunks import head, is_native
from routeiq_sdk.openai_family import error_body, unchanged, write_usage
from routeiq_sdk.request import Request
from routeiq_sdk.stream import Annotation, Error, Event, MessageStart, Usage, UsageParts
from routeiq_sdk.surrogates import dump

from .answer import Answer, Piece, choice
from .chunks import ID_PREFIX, KIND, NAME, PARAMS
from .decode import FILTERS


def collect(events: Iterable[Event], request: Request, losses: list[str], created_s: int) -> bytes:
    got = list(events)
    if (body := unchanged(got, NAME)) is not None:
        return body
    error = next((event for event in got if isinstance(event, Error)), None)
    if error is not None:
        return error_body(NAME, error, PARAMS)
    start = next((event for event in got if isinstance(event, MessageStart)), MessageStart())
    answer = Answer()
    answer.native_stops = is_native(start, KIND)
    pieces: dict[int, list[Piece]] = {}
    facts: dict[str, Any] = {}
    parts: UsageParts | None = None
    for event in got:
        if isinstance(event, Usage):
            parts = event.parts.over(parts) if parts else event.parts
        elif isinstance(event, Annotation) and event.name == FILTERS:
            facts[FILTERS] = Raw(event.raw)
        elif (piece := answer.piece(event)) is not None:
            pieces.setdefault(piece.choice, []).append(piece)
    losses.extend(answer.losses)
    choices = [_joined(number, pieces[number]) for number in sorted(pieces)] or [_joined(0, [])]
    usage = {} if parts is None else {"usage": write_usage(parts)}
    return dump(head(start, request, created_s, KIND, ID_PREFIX) | {"choices": choices} | facts | usage)


def _joined(number: int, pieces: list[Piece]) -> dict[str, Any]:
    weights: dict[str, list[Any]] = {}
    extra: dict[str, Any] = {}
    for piece in pieces:
        extra |= piece.extra
        for name, values in (piece.logprobs or {}).items():
            weights.setdefault(name, []).extend(values)
    finish = next((piece.finish for piece in reversed(pieces) if piece.finish), "stop")
    return choice(Piece(number, "".join(piece.text for piece in pieces), weights or None, finish, extra))
