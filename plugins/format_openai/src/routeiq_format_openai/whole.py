"""Whole answers: as the events of their stream, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk.request import Request
from routeiq_sdk.stream import Annotation, Error, Event, MessageStart, Usage, UsageParts
from routeiq_sdk.wire import loads

from .answer import Answer, Piece
from .chunks import FACTS, NAME, UNREADABLE, Chunk, decode, dump
from .decode import ChatDecoder
from .encode import head, is_native
from .errors import bad_gateway, error_body, read_error
from .usage import read_usage, write_usage


class _Choice(Struct, gc=False):
    """Anything that is an object."""


class _Counted(Struct, gc=False):
    usage: Any = None


class _Checked(Struct, gc=False):
    choices: list[_Choice] | None = None
    error: Any = None


_check = msgspec.json.Decoder(_Checked)
_usage = msgspec.json.Decoder(_Counted)


def check(body: bytes) -> Error | None:
    """What is wrong with an answer of status 200."""
    try:
        answer = _check.decode(body)
    except UNREADABLE:
        return _check_slowly(body)
    return _judge(answer.choices, answer.error, body)


def _check_slowly(body: bytes) -> Error | None:
    try:
        answer = loads(body)
    except (ValueError, RecursionError):
        kind = "nothing" if not body.strip() else "no JSON"
        return bad_gateway(f"The provider answered 200 with {kind}.")
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    given = answer if isinstance(answer, dict) else {}
    return _judge(given.get("choices"), given.get("error"), body)


def _judge(choices: Any, error: Any, body: bytes) -> Error | None:
    if error is not None:
        return read_error(error, body, body, default="bad_gateway")
    return None if isinstance(choices, list) else bad_gateway("The provider's answer has no choices.")


def count(body: bytes) -> UsageParts | None:
    try:
        return read_usage(_usage.decode(body).usage)
    except UNREADABLE:
        pass
    try:
        answer = loads(body)
    except (ValueError, RecursionError):
        return None
    return read_usage(answer.get("usage")) if isinstance(answer, dict) else None


def explode(body: bytes) -> list[Event]:
    wrong = check(body)
    if wrong is not None:
        return [wrong]
    decoder = ChatDecoder(whole=True)
    try:
        return decoder.whole(decode(body), body)
    except UNREADABLE:
        pass
    try:
        return decoder.whole(msgspec.convert(loads(body), Chunk), body, surrogates=True)
    except UNREADABLE:
        return [bad_gateway("The provider's answer is not readable as a chat completion.")]


def collect(events: Iterable[Event], request: Request, created_s: int) -> bytes:
    got = list(events)
    frame = got[0].frame if got else None
    if frame is not None and frame.format == NAME and len(got) == frame.count and all(event.frame is frame for event in got):
        return frame.data
    error = next((event for event in got if isinstance(event, Error)), None)
    if error is not None:
        return error_body(error)
    start = next((event for event in got if isinstance(event, MessageStart)), MessageStart())
    answer = Answer(request)
    answer.native_stops = is_native(start)
    choices: dict[int, dict[str, Any]] = {}
    facts: dict[str, Any] = {}
    parts: UsageParts | None = None
    for event in got:
        if isinstance(event, Usage):
            parts = event.parts.over(parts) if parts else event.parts
        elif isinstance(event, Annotation) and event.scope == "message":
            facts |= {event.name: Raw(event.raw)} if event.name in FACTS else {}
        else:
            for piece in answer.pieces(event):
                _join(choices.setdefault(piece.choice, _empty(piece.choice)), piece)
    if not choices:
        choices[0] = _empty(0)
    body = head(start, request, created_s, "chat.completion") | {"choices": [_finished(choices[n]) for n in sorted(choices)]} | facts
    if parts is not None:
        body["usage"] = write_usage(parts)
    return dump(body)


def _empty(choice: int) -> dict[str, Any]:
    return {"index": choice, "message": {"role": "assistant", "content": None, "refusal": None}, "logprobs": None, "finish_reason": None}


def _finished(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice["message"]
    if message["content"] is None and message["refusal"] is None and "tool_calls" not in message and "function_call" not in message:
        message["content"] = ""
    for call in message.get("tool_calls", ()):
        call.pop("index")
    return choice | {"finish_reason": choice["finish_reason"] or "stop"}


def _join(choice: dict[str, Any], piece: Piece) -> None:
    message = choice["message"]
    for name, value in piece.delta.items():
        if name == "role" or (name == "content" and not value):
            continue
        if name == "tool_calls":
            _join_call(message.setdefault(name, []), value[0])
        elif name == "function_call":
            _join_texts(message.setdefault(name, {"name": "", "arguments": ""}), value)
        elif isinstance(value, str):
            message[name] = (message.get(name) or "") + value
        elif isinstance(value, list):
            message.setdefault(name, []).extend(value)
        else:
            message[name] = value
    choice |= piece.extra
    choice["finish_reason"] = piece.finish or choice["finish_reason"]


def _join_call(calls: list[dict[str, Any]], fragment: dict[str, Any]) -> None:
    if fragment["index"] == len(calls):
        calls.append(fragment)
        return
    kind = "custom" if "custom" in fragment else "function"
    _join_texts(calls[fragment["index"]][kind], fragment[kind])


def _join_texts(target: dict[str, str], fragment: dict[str, str]) -> None:
    for name, value in fragment.items():
        target[name] = target.get(name, "") + value
