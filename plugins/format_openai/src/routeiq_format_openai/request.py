"""A request body: the envelope, checked on every request, and the content, parsed only when somebody looks at it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk.errors import ClientError
from routeiq_sdk.openai_family import is_set, raw_members
from routeiq_sdk.openai_requests import Anything, asks_usage, read_body
from routeiq_sdk.request import Content, Message, OutputOptions, ReasoningOptions, Request, Sampling, ToolChoice
from routeiq_sdk.wire import loads, mend

from .chunks import NAME
from .named import OWN
from .parts import items, parse_message, parse_tool

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class EnvelopeMessage(Struct, gc=False):
    role: str
    content: str | list[Anything] | None = None
    name: str | None = None
    tool_calls: list[Anything] | None = None
    tool_call_id: str | None = None


class Envelope(Struct, gc=False):
    model: str
    messages: list[EnvelopeMessage]
    stream: bool | None = None
    stream_options: Anything | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    logit_bias: Anything | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[Anything] | None = None
    tool_choice: str | Anything | None = None
    functions: list[Anything] | None = None
    function_call: str | Anything | None = None
    parallel_tool_calls: bool | None = None
    response_format: Anything | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    metadata: Anything | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None


_envelope = msgspec.json.Decoder(Envelope)


def parse_request(body: bytes, operation: str) -> Request:
    return read_body(NAME, body, operation, _envelope, parse, "messages")


FIELDS = frozenset({
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed",
    "n", "stop", "logit_bias", "logprobs", "top_logprobs", "tools", "tool_choice", "functions", "function_call", "parallel_tool_calls",
    "max_tokens", "max_completion_tokens", "response_format", "verbosity", "reasoning_effort", "user", "safety_identifier", "metadata",
    "service_tier",
})  # fmt: skip
"""Members that a field of `Content` stands for; all others are `named` or `ext`."""


def parse(request: Request) -> Content:
    """Raises `ClientError` that names the place."""
    body = mend(request.body) if b"\\u" in request.body else request.body
    raw = {name: body[start:end] for name, (start, end) in request.members.items()}
    given = {name: loads(value) for name, value in raw.items() if name in _PLAIN}
    named = {OWN[name]: value for name, value in raw.items() if name in OWN and is_set(value)}
    ext = {name: value for name, value in raw.items() if name not in FIELDS and name not in OWN}
    options = raw_members(raw.get("stream_options", b"")).items()
    ext |= {f"stream_options.{name}": bytes(value) for name, value in options if name not in _STREAM_OPTIONS}
    user, identifier = given.get("user"), given.get("safety_identifier")
    limit = given.get("max_completion_tokens")
    if identifier is not None and user is not None:
        ext["user"] = raw["user"]
    if limit is None:
        limit = given.get("max_tokens")
    legacy = "functions" in raw and not is_set(raw.get("tools"))
    tools = items(raw.get("functions" if legacy else "tools"))
    return Content(
        messages=_messages(items(raw.get("messages"))),
        tools=tuple(parse_tool(tool, legacy, f"tools[{number}]") for number, tool in enumerate(tools)),
        tool_choice=_choice(given.get("function_call" if legacy else "tool_choice"), given.get("parallel_tool_calls")),
        sampling=_sampling(raw, given),
        max_output_tokens=limit,
        reasoning=_reasoning(given.get("reasoning_effort")),
        output=_output(raw.get("response_format"), given.get("verbosity")),
        end_user=user if identifier is None else identifier,
        metadata=raw["metadata"] if is_set(raw.get("metadata")) else b"",
        service_tier=given.get("service_tier"),
        include_usage=asks_usage(raw.get("stream_options")),
        named=named,
        ext=ext,
    )


_STREAM_OPTIONS = ("include_usage", "include_obfuscation")
_SPELLED = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed")
_PLAIN = frozenset({
    "stop", "n", "logprobs", "top_logprobs", "tool_choice", "function_call", "parallel_tool_calls", "max_tokens", "max_completion_tokens",
    "verbosity", "reasoning_effort", "user", "safety_identifier", "service_tier",
})  # fmt: skip


def _messages(raw: list[bytes]) -> tuple[Message, ...]:
    messages: list[Message] = []
    calls: dict[str, str] = {}
    for number, item in enumerate(raw):
        message = parse_message(item, f"messages[{number}]", calls)
        if message.role not in ROLES:
            place = f"messages[{number}].role"
            raise ClientError(f"{place}: expected one of {', '.join(ROLES)}, got {message.role!r}", param=place)
        messages.append(message)
    return tuple(messages)


def _sampling(raw: dict[str, bytes], given: dict[str, Any]) -> Sampling:
    stop = given.get("stop")
    spelled = {name: raw[name].decode() for name in _SPELLED if is_set(raw.get(name))}
    return Sampling(
        **spelled,
        n=given.get("n"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        logit_bias=raw["logit_bias"] if is_set(raw.get("logit_bias")) else b"",
        logprobs=given.get("logprobs"),
        top_logprobs=given.get("top_logprobs"),
    )


def _choice(choice: Any, parallel: bool | None) -> ToolChoice | None:
    if choice is None:
        return None if parallel is None else ToolChoice(parallel=parallel)
    if isinstance(choice, str):
        return ToolChoice(mode=choice if choice in ("none", "required") else "auto", parallel=parallel)
    if choice.get("type") == "allowed_tools":
        inner = choice.get("allowed_tools")
        inner = inner if isinstance(inner, dict) else {}
        names = tuple(_name(tool) for tool in inner.get("tools") or () if isinstance(tool, dict))
        return ToolChoice(mode="required" if inner.get("mode") == "required" else "auto", allowed=names, parallel=parallel)
    return ToolChoice(mode="required", allowed=(_name(choice),), parallel=parallel)


def _name(tool: dict[str, Any]) -> str:
    """The name in a reference to a tool: of type function, custom, or bare as in the old `function_call`."""
    inner = tool.get(str(tool.get("type")))
    name = inner.get("name") if isinstance(inner, dict) else tool.get("name")
    if not isinstance(name, str):
        raise ClientError("tool_choice: names no tool", param="tool_choice")
    return name


def _reasoning(effort: str | None) -> ReasoningOptions | None:
    if effort is None:
        return None
    return ReasoningOptions(mode="off" if effort == "none" else "default", effort=effort)


def _output(response_format: bytes | None, verbosity: str | None) -> OutputOptions | None:
    if not is_set(response_format):
        return None if verbosity is None else OutputOptions(verbosity=verbosity)
    fields = raw_members(response_format or b"")
    kind = loads(bytes(fields.get("type", Raw(b"null"))))
    schema = raw_members(bytes(fields.get("json_schema", Raw(b"null"))))
    if kind != "json_schema":
        return OutputOptions(type="json" if kind == "json_object" else "text", verbosity=verbosity)
    plain = {name: loads(bytes(schema[name])) for name in ("name", "description", "strict") if name in schema}
    return OutputOptions(type="schema", schema=bytes(schema.get("schema", Raw(b"{}"))), verbosity=verbosity, **plain)
