"""A request for an OpenAI-compatible provider: `Content` of any format → body. Pure, so that prompt caches hit.

A request of this format that a plugin edited keeps the client's body: only the members whose content changed are replaced.
"""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec import Raw
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Content, OutputOptions, ReasoningOptions, Request, Sampling, Tool, ToolChoice
from routeiq_sdk.resources import Deployment
from routeiq_sdk.wire import Built, members, patch

from .chunks import NAME, UNREADABLE, dump, raw_members
from .messages import Writer, write_messages
from .names import alias
from .parts import LEGACY, is_set, parse_tool
from .request import asked_usage, parse

PATH = "/chat/completions"
NATIVE_PROVIDERS = ("openai", "azure")
"""They know `max_completion_tokens` and `developer`; compatible ones often only `max_tokens` and `system`, but take `top_k`."""
_EFFORTS = ((1024, "minimal"), (4096, "low"), (16384, "medium"), (32767, "high"))
_TIERS = {"standard_only": "default", "standard": "default"}
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
_STOPS = 4

Members = dict[str, bytes | None]


def edits(request: Request, deployment: Deployment) -> Members:
    """Members to change in the client's own body for this deployment."""
    changed: Members = {}
    names = request.members
    start, end = names.get("model", (0, 0))
    model = dump(deployment.model)
    if request.body[start:end] != model:
        changed["model"] = model
    for name, value in deployment.defaults.items():
        if name not in names and not (name in _LIMITS and _LIMITS & names.keys()):
            changed[name] = value
    start, end = names.get("stream", (0, 0))
    if (request.body[start:end] == b"true") is not request.stream:
        changed["stream"] = b"true" if request.stream else b"false"
    if request.stream and not asked_usage(request):
        start, end = names.get("stream_options", (0, 0))
        changed["stream_options"] = _asking(changed.get("stream_options") or request.body[start:end])
    return changed


def _asking(options: bytes) -> bytes:
    try:
        return patch(options, members(options), {"include_usage": b"true"})
    except (ClientError, *UNREADABLE):
        return b'{"include_usage":true}'


def build(request: Request, deployment: Deployment) -> Built:
    """Raises `ClientError` for what must not be approximated."""
    crossed = request.format != NAME
    losses: list[str] = []
    old = Content() if crossed else parse(request)
    writer = Writer(crossed, deployment.provider in NATIVE_PROVIDERS, losses)
    changed = _members(request, old, writer)
    if crossed:
        body = _crossed(changed, request, deployment)
    else:
        changed = {**edits(request, deployment), **changed}
        if request.stream:
            start, end = request.members.get("stream_options", (0, 0))
            changed["stream_options"] = _asking(changed.get("stream_options") or request.body[start:end])
        body = patch(request.body, request.members, changed)
    return Built(path=PATH, body=body, losses=tuple(dict.fromkeys(losses)))


def _crossed(changed: Members, request: Request, deployment: Deployment) -> bytes:
    fields: dict[str, Raw] = {"model": Raw(dump(deployment.model))}
    fields |= {name: Raw(value) for name, value in changed.items() if value is not None}
    for name, value in deployment.defaults.items():
        if name not in fields and not (name in _LIMITS and _LIMITS & fields.keys()):
            fields[name] = Raw(value)
    if request.stream:
        fields |= {"stream": Raw(b"true"), "stream_options": Raw(_asking(bytes(fields.get("stream_options", Raw(b"")))))}
    return dump(fields)


def _members(request: Request, old: Content, to: Writer) -> Members:
    """The members of every field of the content that is not as in `old`."""
    new, made = request.content, Members()
    if new.messages != old.messages:
        made["messages"] = dump(write_messages(new.messages, old.messages, to))
    if new.tools != old.tools:
        made |= _tools(new.tools, to)
    if new.tool_choice != old.tool_choice and (new.tools or not to.crossed):
        made |= _choice(new.tool_choice, new.tools, to)
    if new.sampling != old.sampling:
        made |= _sampling(new.sampling, old.sampling, to)
    if new.max_output_tokens != old.max_output_tokens:
        made |= _limit(new.max_output_tokens, request, to)
    if new.reasoning != old.reasoning:
        made["reasoning_effort"] = _effort(new.reasoning, to)
    if new.output != old.output:
        made |= _output(new.output, old.output)
    if new.end_user != old.end_user:
        made |= _user(new.end_user, request, to)
    if new.metadata != old.metadata:
        made["metadata"] = new.metadata or None
    if new.service_tier != old.service_tier:
        made["service_tier"] = None if new.service_tier is None else dump(_TIERS.get(new.service_tier, new.service_tier))
    if to.crossed:
        to.losses.extend(f"ext.{name};drop" for name in new.ext)
    else:
        made |= {name: new.ext.get(name) for name in (*old.ext, *new.ext) if new.ext.get(name) != old.ext.get(name)}
    return made


def _tools(tools: tuple[Tool, ...], to: Writer) -> Members:
    legacy = bool(tools) and not to.crossed and all(tool.type == LEGACY for tool in tools)
    written = [made for tool in tools if (made := _tool(tool, legacy, to)) is not None]
    return {"functions" if legacy else "tools": dump(written) if written else None}


def _tool(tool: Tool, legacy: bool, to: Writer) -> Any:
    native = tool.native if tool.origin == NAME else b""
    if native and not to.crossed and legacy == (tool.type == LEGACY) and parse_tool(native, legacy) == tool:
        return Raw(native)
    if tool.kind == "server":
        if native:
            return Raw(native)
        to.losses.append(f"tools.{tool.type};drop")
        return None
    if tool.cache is not None and tool.origin != NAME:
        to.losses.append("cache;drop")
    own = raw_members(native)
    inner: dict[str, Any] = dict(own) if legacy else raw_members(bytes(own.get(tool.kind, Raw(b"{}"))))
    inner |= {"name": alias(tool.name)}
    parameters = Raw(tool.parameters) if is_set(tool.parameters) else None
    given = {"description": tool.description, "strict": tool.strict, "parameters": parameters}
    inner |= {name: value for name, value in given.items() if value is not None}
    return inner if legacy else {"type": tool.kind, tool.kind: inner}


def _choice(choice: ToolChoice | None, tools: tuple[Tool, ...], to: Writer) -> Members:
    if choice is None:
        return {"tool_choice": None, "parallel_tool_calls": None}
    kinds = {tool.name: tool.kind for tool in tools}
    for name in choice.allowed:
        if to.crossed and kinds.get(name, "server") == "server":
            raise ClientError(f"tool_choice: there is no tool {name!r} that this model's provider can call", param="tool_choice")
    references = [_reference(name, kinds.get(name, "function")) for name in choice.allowed]
    value: Any = choice.mode
    if len(references) == 1 and choice.mode == "required":
        value = references[0]
    elif references and choice.mode != "none":
        value = {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": references}}
    name = "function_call" if not to.crossed and tools and all(tool.type == LEGACY for tool in tools) else "tool_choice"
    if name == "function_call" and references:
        value = {"name": choice.allowed[0]}
    return {name: dump(value), "parallel_tool_calls": None if choice.parallel is None else dump(choice.parallel)}


def _reference(name: str, kind: str) -> dict[str, Any]:
    kind = "custom" if kind == "custom" else "function"
    return {"type": kind, kind: {"name": alias(name)}}


def _sampling(new: Sampling, old: Sampling, to: Writer) -> Members:
    made: Members = {}
    for name in ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed"):
        value = getattr(new, name)
        if value != getattr(old, name):
            made[name] = None if value is None else value.encode()
    for name in ("n", "logprobs", "top_logprobs"):
        value = getattr(new, name)
        if value != getattr(old, name):
            made[name] = None if value is None else dump(value)
    if new.logit_bias != old.logit_bias:
        made["logit_bias"] = new.logit_bias or None
    if new.stop != old.stop:
        made["stop"] = dump(new.stop[:_STOPS]) if new.stop else None
        if len(new.stop) > _STOPS:
            to.losses.append("stop;approx")
    if to.crossed and to.native and made.pop("top_k", None) is not None:
        to.losses.append("top_k;drop")
    return made


def _limit(limit: int | None, request: Request, to: Writer) -> Members:
    if limit == 0 and to.crossed:
        raise ClientError("max_tokens: 0 asks only to fill the prompt cache, which this model's provider cannot do", param="max_tokens")
    name = "max_completion_tokens" if to.native else "max_tokens"
    if not to.crossed:
        name = next((given for given in ("max_completion_tokens", "max_tokens") if given in request.members), name)
    return {name: None if limit is None else dump(limit)}


def _effort(reasoning: ReasoningOptions | None, to: Writer) -> bytes | None:
    if reasoning is None:
        return None
    if reasoning.mode == "off":
        return b'"none"'
    if reasoning.effort is not None:
        return dump(reasoning.effort)
    if reasoning.mode != "budget" or reasoning.budget_tokens is None:
        return None
    to.losses.append("reasoning.effort;approx")
    return dump(next((effort for most, effort in _EFFORTS if reasoning.budget_tokens <= most), "xhigh"))


def _output(new: OutputOptions | None, old: OutputOptions | None) -> Members:
    new, old = new or OutputOptions(), old or OutputOptions()
    made: Members = {}
    if new.verbosity != old.verbosity:
        made["verbosity"] = None if new.verbosity is None else dump(new.verbosity)
    if (new.type, new.name, new.schema, new.strict, new.description) == (old.type, old.name, old.schema, old.strict, old.description):
        return made
    if new.type != "schema":
        return {**made, "response_format": b'{"type":"json_object"}' if new.type == "json" else None}
    schema: dict[str, Any] = {"name": new.name or "response", "schema": Raw(new.schema or b"{}")}
    schema |= {name: value for name, value in (("description", new.description), ("strict", new.strict)) if value is not None}
    return {**made, "response_format": dump({"type": "json_schema", "json_schema": schema})}


def _user(user: str | None, request: Request, to: Writer) -> Members:
    name = "safety_identifier" if to.native else "user"
    if not to.crossed:
        name = next((given for given in ("safety_identifier", "user") if given in request.members), name)
    elif user is not None:
        to.losses.append("end_user;approx")
        user = user if len(user) <= 64 else hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()
    return {name: None if user is None else dump(user)}
