"""A request body: the envelope, checked on every request, and the content, parsed only when somebody looks at it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk.errors import ClientError
from routeiq_sdk.openai_family import is_set, raw_members
from routeiq_sdk.openai_requests import Anything, read_body
from routeiq_sdk.request import Content, Message, OutputOptions, ReasoningOptions, Request, Sampling, Tool
from routeiq_sdk.stream import OpaqueBlock, Text
from routeiq_sdk.wire import loads, mend

from .frames import NAME, raw_items
from .items import ADDITIONAL_TOOLS, parse_items, read_item
from .tools import parse_choice, parse_tools


class Envelope(Struct, gc=False):
    model: str
    input: str | list[Anything] | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: Anything | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    tools: list[Anything] | None = None
    tool_choice: str | Anything | None = None
    parallel_tool_calls: bool | None = None
    text: Anything | None = None
    reasoning: Anything | None = None
    metadata: Anything | None = None
    include: list[str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    previous_response_id: str | None = None
    background: bool | None = None
    store: bool | None = None


_envelope = msgspec.json.Decoder(Envelope)


def parse_request(body: bytes, operation: str) -> Request:
    return read_body(NAME, body, operation, _envelope, parse, "input")


NAMED = {
    "previous_response_id": "previous_response_id", "conversation": "conversation", "background": "background", "prompt": "prompt",
    "context_management": "context_management", "truncation": "truncation", "max_tool_calls": "max_tool_calls", "store": "store",
    "moderation": "moderation", "prompt_cache_key": "cache.key", "prompt_cache_retention": "cache.retention",
    "prompt_cache_options": "cache.options",
}  # fmt: skip
"""Member → report name."""
FIELDS = frozenset({
    "model", "input", "instructions", "stream", "stream_options", "max_output_tokens", "temperature", "top_p", "top_logprobs", "tools",
    "tool_choice", "parallel_tool_calls", "text", "reasoning", "metadata", "include", "user", "safety_identifier", "service_tier", *NAMED,
})  # fmt: skip
"""Members that a field of `Content` or `named` stands for; all others are `ext`."""
ENCRYPTED, LOGPROBS = "reasoning.encrypted_content", "message.output_text.logprobs"
_AS_ABSENT = {"background": b"false", "truncation": b'"disabled"'}
"""Values that ask for what every format does."""
_PLAIN = frozenset({
    "tool_choice", "parallel_tool_calls", "max_output_tokens", "top_logprobs", "include", "user", "safety_identifier", "service_tier",
})  # fmt: skip


def parse(request: Request) -> Content:
    """Raises `ClientError` that names the place."""
    body = mend(request.body) if b"\\u" in request.body else request.body
    raw = {name: body[start:end] for name, (start, end) in request.members.items()}
    given = {name: loads(value) for name, value in raw.items() if name in _PLAIN}
    ext = {name: value for name, value in raw.items() if name not in FIELDS}
    user, identifier = given.get("user"), given.get("safety_identifier")
    if identifier is not None and user is not None:
        ext["user"] = raw["user"]
    messages = _messages(raw)
    tools, described = parse_tools(raw_items(raw.get("tools")))
    more, described_too = added_tools(raw.get("input", b""))
    tools, described = (*tools, *more), described | described_too
    include = given.get("include") or []
    ext |= {f"tools.{name}.description": value for name, value in described.items()}
    ext |= _options(raw)
    return Content(
        messages=messages,
        tools=tools,
        tool_choice=parse_choice(given.get("tool_choice"), given.get("parallel_tool_calls"), tools),
        sampling=Sampling(
            **{name: raw[name].decode() for name in ("temperature", "top_p") if is_set(raw.get(name))},
            logprobs=True if LOGPROBS in include else None,
            top_logprobs=given.get("top_logprobs"),
        ),
        max_output_tokens=given.get("max_output_tokens"),
        reasoning=_reasoning(raw.get("reasoning")),
        output=_output(raw.get("text")),
        end_user=user if identifier is None else identifier,
        metadata=raw["metadata"] if is_set(raw.get("metadata")) else b"",
        service_tier=given.get("service_tier"),
        named=_named(raw, include, messages),
        ext=ext,
    )


def added_tools(given: bytes) -> tuple[tuple[Tool, ...], dict[str, bytes]]:
    """Tools that stand in the conversation, and the descriptions of their namespaces."""
    if given[:1] != b"[" or ADDITIONAL_TOOLS.encode() not in given:
        return (), {}
    tools: list[Tool] = []
    described: dict[str, bytes] = {}
    for number, each in enumerate(raw_items(given)):
        if read_item(each).type == ADDITIONAL_TOOLS:
            found, names = parse_tools(raw_items(bytes(raw_members(each).get("tools", Raw(b"[]")))), f"input[{number}].tools")
            tools += found
            described |= names
    return tuple(tools), described


def _messages(raw: dict[str, bytes]) -> tuple[Message, ...]:
    """Instructions and a bare string keep their JSON string in `native`, which tells them from items."""
    messages: list[Message] = []
    if is_set(raw.get("instructions")):
        text = Text(text=loads(raw["instructions"]), origin=NAME)
        messages.append(Message(role="system", parts=(text,), was_str=True, native=raw["instructions"]))
    given = raw.get("input", b"null")
    if given.startswith(b'"'):
        messages.append(Message(role="user", parts=(Text(text=loads(given), origin=NAME),), was_str=True, native=given))
        return tuple(messages)
    return (*messages, *parse_items(raw_items(given)))


def _named(raw: dict[str, bytes], include: list[str], messages: tuple[Message, ...]) -> dict[str, bytes]:
    """An item that is only referred to is state of its maker, as a previous response is: `item_reference` is the id of the first."""
    named = {name: raw[member] for member, name in NAMED.items() if is_set(raw.get(member)) and raw[member] != _AS_ABSENT.get(member)}
    rest = [name for name in include if name not in (ENCRYPTED, LOGPROBS)]
    if rest:
        named["include"] = msgspec.json.encode(rest)
    references = (part for each in messages for part in each.parts if isinstance(part, OpaqueBlock) and part.type == "item_reference")
    if first := next(references, None):
        named["item_reference"] = bytes(raw_members(first.native).get("id", Raw(b'""')))
    return named


def _options(raw: dict[str, bytes]) -> dict[str, bytes]:
    """Options inside `reasoning`, `text` and `stream_options` that only this format has, by path."""
    known = {
        "reasoning": {"effort", "summary", "generate_summary"},
        "text": {"format", "verbosity"},
        "stream_options": {"include_obfuscation"},
    }
    return {
        f"{member}.{name}": bytes(value)
        for member, names in known.items()
        for name, value in raw_members(raw.get(member, b"null")).items()
        if name not in names and is_set(bytes(value))
    }


def _reasoning(raw: bytes | None) -> ReasoningOptions | None:
    if not is_set(raw):
        return None
    fields = {name: loads(bytes(value)) for name, value in raw_members(raw or b"").items()}
    effort, style = fields.get("effort"), fields.get("summary") or fields.get("generate_summary")
    for name, value in (("effort", effort), ("summary", style)):
        if value is not None and not isinstance(value, str):
            raise ClientError(f"reasoning.{name}: expected str", param=f"reasoning.{name}", code="invalid_type")
    show = None if style is None else "none" if style == "none" else "summary"
    return ReasoningOptions(mode="off" if effort == "none" else "default", effort=effort, show=show, native=raw or b"")


def _output(raw: bytes | None) -> OutputOptions | None:
    if not is_set(raw):
        return None
    fields = raw_members(raw or b"")
    verbosity = loads(bytes(fields.get("verbosity", Raw(b"null"))))
    form = raw_members(bytes(fields.get("format", Raw(b"null"))))
    kind = loads(bytes(form.get("type", Raw(b"null"))))
    try:
        verbosity = msgspec.convert(verbosity, str | None)
        if kind != "json_schema":
            return OutputOptions(type="json" if kind == "json_object" else "text", verbosity=verbosity)
        plain: dict[str, Any] = {name: loads(bytes(form[name])) for name in ("name", "description", "strict") if name in form}
        checked = msgspec.convert(plain, _Schema)
    except msgspec.ValidationError:
        raise ClientError("text.format: a member has the wrong type", param="text.format", code="invalid_type") from None
    schema = bytes(form.get("schema", Raw(b"{}")))
    return OutputOptions(
        type="schema", schema=schema, verbosity=verbosity, name=checked.name, description=checked.description, strict=checked.strict
    )


class _Schema(Struct):
    name: str | None = None
    description: str | None = None
    strict: bool | None = None
