"""Whole answers: as the events of their stream, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct
from routeiq_sdk.openai_family import UNREADABLE, bad_gateway, error_body, plain_answer, read_error, unchanged
from routeiq_sdk.request import Request
from routeiq_sdk.stream import Error, Event, MessageEnd
from routeiq_sdk.surrogates import dump
from routeiq_sdk.wire import mend

from .decode import ResponsesDecoder
from .frames import NAME
from .ladder import Ladder


class _Anything(Struct, gc=False):
    """Any JSON object."""


class _Checked(Struct, gc=False):
    output: list[_Anything] | None = None
    error: Any = None
    status: str | None = None
    object: str | None = None


_check = msgspec.json.Decoder(_Checked)
_COUNT = "response.input_tokens"


def check(body: bytes) -> Error | None:
    """What is wrong with an answer of status 200."""
    try:
        answer = _check.decode(body)
    except UNREADABLE:
        return _check_slowly(body)
    return _judge(answer.output, answer.error, answer.status, answer.object, body)


def _check_slowly(body: bytes) -> Error | None:
    answer = plain_answer(body)
    if isinstance(answer, Error):
        return answer
    return _judge(answer.get("output"), answer.get("error"), answer.get("status"), answer.get("object"), body)


def _judge(output: Any, error: Any, status: Any, kind: Any, body: bytes) -> Error | None:
    if error is not None:
        return read_error(NAME, error, body, body, default="bad_gateway")
    if status in ("failed", "cancelled"):
        return read_error(
            NAME, f"The provider's answer is {status}.", body, body, default="bad_gateway" if status == "failed" else "cancelled"
        )
    if kind == _COUNT or isinstance(output, list):
        return None
    return bad_gateway("The provider's answer has no output.")


def explode(body: bytes) -> list[Event]:
    wrong = check(body)
    if wrong is not None:
        return [wrong]
    try:
        readable = body if _is_readable(body) else mend(body)
        if not _is_readable(readable):
            return [bad_gateway("The provider's answer is not readable as a response.")]
        return ResponsesDecoder().whole(readable, body)
    except UNREADABLE:
        return [bad_gateway("The provider's answer is not readable as a response.")]


def _is_readable(body: bytes) -> bool:
    try:
        _check.decode(body)
    except UNREADABLE:
        return False
    return True


def collect(events: Iterable[Event], request: Request, created_s: int, losses: list[str]) -> bytes:
    got = list(events)
    if (body := unchanged(got, NAME)) is not None:
        return body
    error = next((event for event in got if isinstance(event, Error)), None)
    if error is not None:
        return error_body(NAME, error)
    ladder, nothing = Ladder(request, created_s, losses), list[bytes]()
    for event in got:
        if not isinstance(event, MessageEnd):
            ladder.feed(event, nothing)
            nothing.clear()
    return dump(ladder.end(nothing))
