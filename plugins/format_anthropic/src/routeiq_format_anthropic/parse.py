"""A request body → `Request`, and, when somebody looks, its `Content`.

A user message with tool results is two messages inside: role `tool` with the results, then role `user` with the rest. Both carry
the whole wire message in `native`, so that an untouched pair is written as it came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Content, Message, OutputOptions, ReasoningOptions, Request, Sampling, Tool, ToolChoice
from routeiq_sdk.stream import Block, Reasoning, ToolCall, ToolResult
from routeiq_sdk.wire import Asked
from routeiq_sdk.wire import members as member_spans

from . import named, server
from .blocks import LIST, STRING, decode, is_set, kind_of, members, parse_cache, parse_parts
from .sse import NAME


class WireMessage(Struct):
    role: str
    content: Raw = Raw()


class WireTool(Struct):
    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: Raw = Raw()
    strict: bool | None = None
    cache_control: Raw = Raw()
    mcp_server_name: str | None = None


class WireChoice(Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Metadata(Struct):
    user_id: str | None = None


class Thinking(Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class Format(Struct):
    type: str
    schema: Raw = Raw()


class OutputConfig(Struct):
    effort: str | None = None
    format: Format | None = None


class Envelope(Struct):
    """The known members, typed; what is large stays raw until somebody asks."""

    model: str
    messages: list[WireMessage]
    max_tokens: int | None = None
    stream: bool | None = None
    system: Raw = Raw()
    tools: Raw = Raw()
    tool_choice: WireChoice | None = None
    metadata: Metadata | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None
    service_tier: str | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


class Members(dict[str, tuple[int, int]]):
    """Spans of the top-level members, and whether the conversation holds what must not go back to an Anthropic provider."""

    has_foreign_state = False


_EMPTY_STATE = re.compile(rb'"(?:signature|encrypted_index)"\s*:\s*""')
_envelope = msgspec.json.Decoder(Envelope)
_raw_list = msgspec.json.Decoder(list[Raw])
_message = msgspec.json.Decoder(WireMessage)
_tool = msgspec.json.Decoder(WireTool)
KNOWN = frozenset(Envelope.__struct_fields__) | named.MEMBERS.keys() | {"mcp_servers"}
SHOWN = {"summarized": "summary", "omitted": "none", "updates": "summary"}
MODES = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}


def parse_request(body: bytes, asked: Asked) -> Request:
    spans, has_foreign_state = Members(member_spans(body)), False
    wire = decode(body, _envelope, "")
    for i, message in enumerate(wire.messages):
        first = memoryview(message.content)[0] if message.content else 0
        if first == LIST:
            has_foreign_state = has_foreign_state or (message.role == "assistant" and is_foreign(bytes(message.content)))
        elif first != STRING:
            raise ClientError(f"messages[{i}].content: expected str or array", param=f"messages[{i}].content")
    if wire.max_tokens is None and asked.operation == "chat":
        raise ClientError("max_tokens: field required", param="max_tokens")
    if is_set(wire.system) and kind_of(wire.system) == "other":
        raise ClientError("system: expected str or array", param="system")
    if is_set(wire.tools) and kind_of(wire.tools) != "list":
        raise ClientError("tools: expected array", param="tools")
    spans.has_foreign_state = has_foreign_state
    betas = asked.headers.all("anthropic-beta")
    return Request(
        format=NAME,
        model=wire.model,
        stream=bool(wire.stream),
        body=body,
        parse=partial(parse_content, betas=betas) if betas else parse_content,
        operation=asked.operation,
        members=spans,
    )


def is_foreign(content: bytes) -> bool:
    """Cheap signs that another provider made a block: an empty signature or citation index, or a wrapped seal."""
    if b'"rq1.' in content:
        return True
    return (b'"signature"' in content or b'"encrypted_index"' in content) and _EMPTY_STATE.search(content) is not None


def parse_content(request: Request, betas: Sequence[str] = ()) -> Content:
    wire = decode(request.body, _envelope, "")
    raw = {name: request.body[start:end] for name, (start, end) in request.members.items()}
    messages = (*parse_system(wire.system), *_parse_messages(raw.get("messages", b"[]")))
    return Content(
        messages=messages,
        tools=_parse_tools(wire, raw),
        tool_choice=_parse_choice(wire.tool_choice),
        sampling=_parse_sampling(wire, raw),
        max_output_tokens=wire.max_tokens,
        reasoning=_parse_reasoning(wire, raw),
        output=_parse_output(wire),
        end_user=wire.metadata.user_id if wire.metadata else None,
        service_tier="default" if wire.service_tier == "standard_only" else wire.service_tier,
        named=named.read(raw, messages, named.betas_of(betas)),
        ext=_parse_ext(raw),
    )


def _parse_tools(wire: Envelope, raw: Mapping[str, bytes]) -> tuple[Tool, ...]:
    items = decode(wire.tools, _raw_list, "tools") if is_set(wire.tools) else []
    tools = [parse_tool(tool, f"tools[{i}]") for i, tool in enumerate(items)]
    if not is_set(Raw(raw.get("mcp_servers", b""))):
        return tuple(tools)
    listed: list[Raw] = decode(raw["mcp_servers"], _raw_list, "mcp_servers")
    servers = server.read_servers(listed)
    tools = [server.parse_toolset(tool, servers) if tool.kind == "mcp" else tool for tool in tools]
    return (*tools, *server.lone_servers(servers, tools))


def _parse_ext(raw: Mapping[str, bytes]) -> dict[str, bytes]:
    """Unknown members, and known objects that hold more than the model has fields for."""
    ext = {name: value for name, value in raw.items() if name not in KNOWN}
    for name, known in (("metadata", {"user_id"}), ("output_config", {"effort", "format", "task_budget"})):
        if name in raw and raw[name] != b"null" and members(raw[name], name).keys() - known:
            ext[name] = raw[name]
    return ext


def parse_system(system: Raw) -> tuple[Message, ...]:
    if not is_set(system):
        return ()
    parts, was_str = parse_parts(system, "system")
    return (Message(role="system", parts=parts, was_str=was_str, native=bytes(system)),)


def _parse_messages(raw: bytes) -> list[Message]:
    items = decode(raw, _raw_list, "messages")
    return [message for i, item in enumerate(items) for message in parse_message(item, f"messages[{i}]")]


def parse_message(raw: bytes | Raw, place: str = "message") -> tuple[Message, ...]:
    wire = decode(raw, _message, place)
    if wire.role not in ("user", "assistant", "system"):
        raise ClientError(f"{place}.role: expected user, assistant or system, got {wire.role!r}", param=f"{place}.role")
    parts, was_str = parse_parts(wire.content, f"{place}.content")
    native = bytes(raw)
    parts = _seal_calls(parts) if any(isinstance(part, Reasoning) and part.form == CALL_SEAL for part in parts) else parts
    results = tuple(part for part in parts if _is_result(part))
    if wire.role != "user" or not results:
        return (Message(role=wire.role, parts=parts, was_str=was_str, native=native),)
    tool = Message(role="tool", parts=results, native=native)
    rest = tuple(part for part in parts if not _is_result(part))
    return (tool, Message(role="user", parts=rest, native=native)) if rest else (tool,)


CALL_SEAL = "call"
"""Form of a wrapped block that only carries the signature of the call behind it."""


def _seal_calls(parts: Sequence[Block]) -> tuple[Block, ...]:
    """Signatures that travelled in a thinking block of their own, back on their calls."""
    sealed: list[Block] = []
    seal = None
    for part in parts:
        if isinstance(part, Reasoning) and part.form == CALL_SEAL:
            seal = part.seal
            continue
        if isinstance(part, ToolCall) and seal is not None:
            part, seal = structs.replace(part, seal=seal), None
        sealed.append(part)
    return tuple(sealed)


def _is_result(part: Block) -> bool:
    return isinstance(part, ToolResult) and part.owner == "client"


def parse_tool(raw: bytes | Raw, place: str = "tool") -> Tool:
    wire = decode(raw, _tool, place)
    type_ = "" if wire.type in (None, "custom") else wire.type or ""
    return Tool(
        name=wire.name or wire.mcp_server_name or "",
        kind="mcp" if type_ == server.TOOLSET else "server" if type_ else "function",
        description=wire.description,
        parameters=bytes(wire.input_schema) if is_set(wire.input_schema) else b"",
        strict=wire.strict,
        type=type_,
        canonical=server.canonical(type_),
        cache=parse_cache(wire.cache_control, place),
        native=bytes(raw),
        origin=NAME,
    )


def _parse_choice(wire: WireChoice | None) -> ToolChoice | None:
    if wire is None:
        return None
    if wire.type not in MODES:
        raise ClientError(f"tool_choice.type: expected auto, any, tool or none, got {wire.type!r}", param="tool_choice.type")
    parallel = None if wire.disable_parallel_tool_use is None else not wire.disable_parallel_tool_use
    allowed = (wire.name,) if wire.type == "tool" and wire.name else ()
    return ToolChoice(mode=MODES[wire.type], allowed=allowed, parallel=parallel)


def _parse_sampling(wire: Envelope, raw: Mapping[str, bytes]) -> Sampling:
    spelled: dict[str, Any] = {name: raw[name].decode() for name in ("temperature", "top_p", "top_k") if getattr(wire, name) is not None}
    return Sampling(stop=tuple(wire.stop_sequences or ()), **spelled)


def _parse_reasoning(wire: Envelope, raw: Mapping[str, bytes]) -> ReasoningOptions | None:
    effort = wire.output_config.effort if wire.output_config else None
    if wire.thinking is None:
        return ReasoningOptions(effort=effort) if effort else None
    mode = {"enabled": "budget", "disabled": "off"}.get(wire.thinking.type, "auto")
    show = SHOWN.get(wire.thinking.display or "")
    return ReasoningOptions(mode=mode, effort=effort, budget_tokens=wire.thinking.budget_tokens, show=show, native=raw["thinking"])


def _parse_output(wire: Envelope) -> OutputOptions | None:
    wanted = (wire.output_config.format if wire.output_config else None) or wire.output_format
    if wanted is None:
        return None
    return OutputOptions(type="schema", schema=bytes(wanted.schema) if is_set(wanted.schema) else b"{}")
