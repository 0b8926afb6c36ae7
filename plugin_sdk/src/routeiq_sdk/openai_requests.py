"""What the requests of OpenAI's wire formats have in common: the envelope, stream options, and what a deployment changes in a body."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from .errors import ClientError
from .openai_family import UNREADABLE, raw_members
from .request import Content, Request
from .resources import Deployment
from .surrogates import dump
from .wire import members, mend, patch

Members = dict[str, bytes | None]
_ASKING = b'{"include_usage":true}'
LIST = ord("[")
LARGE_BYTES = 256 * 1024
"""The conversation of a larger body is scanned once, for its syntax; its types are the provider's to check."""


class Anything(Struct, gc=False):
    """Any JSON object."""


def read_body(
    format: str, body: bytes, operation: str, envelope: msgspec.json.Decoder[Any], parse: Callable[[Request], Content], long: str = ""
) -> Request:
    """`envelope` decodes a struct of the body's known members; `long` names the one that holds the conversation. Raises
    `ClientError` that names the place."""
    spans = members(body)
    checked = body
    if len(body) >= LARGE_BYTES and long in spans and body[spans[long][0]] == LIST:
        checked = patch(body, spans, {long: b"[]"})
    try:
        read = _read(checked, envelope)
    except msgspec.ValidationError as error:
        raise type_error(error) from None
    return Request(format=format, model=read.model, stream=read.stream is True, body=body, parse=parse, operation=operation, members=spans)


def _read(body: bytes, envelope: msgspec.json.Decoder[Any]) -> Any:
    """Also with lone surrogates, which msgspec refuses and `members` lets pass."""
    try:
        return envelope.decode(body)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return envelope.decode(mend(body))


def type_error(error: msgspec.ValidationError) -> ClientError:
    """`messages[0].role: expected str, got int`."""
    text, _, path = str(error).partition(" - at `$")
    place = path.rstrip("`").lstrip(".")
    if text.startswith("Object missing required field"):
        name = text.split("`")[1]
        place = f"{place}.{name}" if place else name
        return ClientError(f"{place}: field required", param=place, code="missing_required_parameter")
    text = text.replace("`", "").replace("Anything", "object")
    return ClientError(f"{place}: {text[:1].lower()}{text[1:]}", param=place, code="invalid_type")


def sent(request: Request, name: str) -> bytes:
    """A member as the client sent it; b"" where it did not."""
    start, end = request.members.get(name, (0, 0))
    return request.body[start:end]


def model_name(deployment: Deployment) -> str:
    """What the model is called by those who made it."""
    return str(deployment.info.get("base_model") or deployment.model).rpartition("/")[2]


_NEVER_REASONS = re.compile(r"gpt-4|gpt-3\.5|chatgpt")


def may_reason(deployment: Deployment) -> bool:
    """Whether an OpenAI model takes options of reasoning: as `model_info` says, else by its name."""
    told = deployment.info.get("supports_reasoning")
    return told if isinstance(told, bool) else not _NEVER_REASONS.match(model_name(deployment))


def asks_usage(stream_options: bytes | None) -> bool:
    options = raw_members(stream_options or b"null")
    return "include_usage" in options and bytes(options["include_usage"]) == b"true"


def wants_usage(request: Request, format: str) -> bool:
    """Whether the client of that format wants the usage chunk of a stream."""
    if request.format != format:
        return False
    return request.content.include_usage if request.edited else asks_usage(sent(request, "stream_options"))


def asking_usage(stream_options: bytes) -> bytes:
    """The client's `stream_options`, which may be anything, with `include_usage`."""
    if not stream_options:
        return _ASKING
    try:
        return patch(stream_options, members(stream_options), {"include_usage": b"true"})
    except (ClientError, *UNREADABLE):
        return _ASKING


def obfuscation(request: Request) -> dict[str, Raw]:
    """`include_obfuscation` as the client of one of these formats gave it, {} where it did not."""
    found = raw_members(sent(request, "stream_options")).get("include_obfuscation")
    return {} if found is None else {"include_obfuscation": found}


def edits(request: Request, deployment: Deployment, one_of: frozenset[str] = frozenset()) -> Members:
    """Members to change in the client's own body for this deployment. Of `one_of` only one is ever sent."""
    changed: Members = {}
    names = request.members
    if sent(request, "model") != (model := dump(deployment.model)):
        changed["model"] = model
    for name, value in deployment.defaults.items():
        if name not in names and not (name in one_of and one_of & names.keys()):
            changed[name] = value
    if (sent(request, "stream") == b"true") is not request.stream:
        changed["stream"] = b"true" if request.stream else b"false"
    if request.stream and not wants_usage(request, request.format):
        ask_usage(request, changed)
    return changed


def ask_usage(request: Request, changed: Members) -> None:
    changed["stream_options"] = asking_usage(changed.get("stream_options") or sent(request, "stream_options"))
