"""`Content` of any format → the body of a Messages request: a pure function, so that prompt caches hit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw
from routeiq_sdk.crossing import user_id
from routeiq_sdk.request import Content, Message, Request, Tool
from routeiq_sdk.resources import Deployment
from routeiq_sdk.services import ModelCatalog
from routeiq_sdk.stream import Text
from routeiq_sdk.wire import Built, loads, patch

from . import abilities, blocks, named, order, server, thinking, tools
from .fit import CACHE_LIMIT, fit, leading_system, limit_cache
from .parse import parse_content, parse_message, parse_system
from .schema import strict_schema
from .sse import NAME, write

HEADERS = (("anthropic-version", "2023-06-01"),)
PATHS = {"count_tokens": "/v1/messages/count_tokens"}
COUNTED = frozenset({
    "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control", "mcp_servers",
    "context_management",
})  # fmt: skip
USER_ID_LIMIT = 256
JSON_SENTENCE = "Answer with a single JSON object and nothing else."
FAST_BETA = "fast-mode-2026-02-01"


def path(request: Request) -> str:
    return PATHS.get(request.operation, "/v1/messages")


def build(request: Request, deployment: Deployment, catalog: ModelCatalog | None = None) -> Built:
    body = _Body(request, deployment, abilities.target(deployment, catalog))
    fields = body.write()
    for name, value in deployment.defaults.items():
        if name != "max_tokens":
            fields.setdefault(name, Raw(value))
    if request.operation == "count_tokens":
        fields = {name: value for name, value in fields.items() if name in COUNTED or (not body.crossed and name in request.members)}
    betas = (("anthropic-beta", ",".join(body.betas)),) if body.betas else ()
    written = write(fields) if body.crossed else _patched(request, fields)
    return Built(path(request), written, (*HEADERS, *betas), tuple(dict.fromkeys(body.losses)))


def _patched(request: Request, fields: dict[str, Any]) -> bytes:
    """The client's own body with the members that say something else now: the others keep their bytes, nulls included."""
    own = request.members
    edits: dict[str, bytes | None] = {}
    for name, value in fields.items():
        new = write(value)
        start, end = own.get(name, (0, 0))
        if name not in own or (request.body[start:end] != new and not _same(request.body[start:end], new, name)):
            edits[name] = new
    edits |= {name: None for name, (start, end) in own.items() if name not in fields and not _says_nothing(request.body[start:end])}
    return patch(request.body, own, edits)


_LARGE = frozenset({"messages", "system", "tools"})


def _same(old: bytes, new: bytes, name: str) -> bool:
    return name not in _LARGE and _said(old) == _said(new)


def _says_nothing(raw: bytes) -> bool:
    return not _said(raw)


def _said(raw: bytes) -> Any:
    """The value, less members that are null or false; the bytes of one that Python cannot hold."""
    try:
        value = loads(raw)
    except (ValueError, RecursionError):
        return raw
    return {name: item for name, item in value.items() if item not in (None, False)} if isinstance(value, dict) else value


def write_messages(messages: Sequence[Message], crossed: bool) -> list[Any]:
    """Wire messages. Those of this format whose parts are still those of their `native` are written as they came."""
    written: list[Any] = []
    at = 0
    while at < len(messages):
        message = messages[at]
        original = parse_message(message.native) if message.native and not crossed else ()
        if original and tuple(messages[at : at + len(original)]) == original:
            written.append(Raw(message.native))
            at += len(original)
            continue
        parts, at = message.parts, at + 1
        if message.role == "tool":
            while at < len(messages) and messages[at].role == "tool":
                parts, at = parts + messages[at].parts, at + 1
            if at < len(messages) and messages[at].role == "user":
                parts, at = parts + messages[at].parts, at + 1
        role = "user" if message.role == "tool" else "system" if message.role == "developer" else message.role
        written.append({"role": role, "content": blocks.content(parts, message.was_str or message.role == "assistant")})
    return written


def write_system(messages: Sequence[Message], crossed: bool) -> Any:
    native = messages[0].native if not crossed and len(messages) == 1 else b""
    if native and parse_system(Raw(native)) == tuple(messages):
        return Raw(native)
    parts = (part for message in messages for part in message.parts)
    said = tuple(part for part in parts if not crossed or not isinstance(part, Text) or part.text.strip())
    return blocks.content(said, len(messages) == 1 and messages[0].was_str)


class _Body:
    """One build: the request, its target, and what gets lost on the way."""

    def __init__(self, request: Request, deployment: Deployment, target: abilities.Target) -> None:
        self.request, self.deployment, self.target = request, deployment, target
        self.losses: list[str] = []
        self.betas: list[str] = []
        self.content: Content = request.content
        self.crossed = request.format != NAME
        self.fields: dict[str, Any] = {"model": deployment.model}

    def write(self) -> dict[str, Any]:
        limit = self._max_tokens()
        self.fields["max_tokens"] = limit
        self._write_named()
        messages = [fit(message, self.losses) for message in self.content.messages]
        wanted = thinking.write(self.content, messages, self.target, limit, self.crossed, self.losses)
        if wanted is not None:
            self.fields["thinking"] = wanted
        self._write_conversation(messages)
        self._write_output()
        self._write_sampling()
        self._write_rest()
        if self.request.stream:
            self.fields["stream"] = True
        return self.fields

    def _max_tokens(self) -> int:
        if self.content.max_output_tokens is not None:
            return self.content.max_output_tokens
        default = self.deployment.defaults.get("max_tokens")
        value = loads(default) if default else None
        return value if isinstance(value, int) else self.target.limit(self.request.stream)

    def _write_named(self) -> None:
        write_members = named.write_foreign if self.crossed else named.write_own
        self.fields |= write_members(self.content.named, self.losses)
        if self.crossed and "speed" in self.fields:
            self.betas.append(FAST_BETA)

    def _write_conversation(self, messages: Sequence[Message]) -> None:
        offered: Sequence[Tool] = self.content.tools
        offered, choice = tools.choose(self.content.tool_choice, offered, self.thinks, self.losses)
        most = CACHE_LIMIT - ("cache_control" in self.fields)
        offered, messages = limit_cache(offered, messages, self.crossed, most, self.losses)
        leading = leading_system(messages)
        repaired = order.repair(messages[leading:], self.crossed, self.losses)
        if leading and (system := write_system(messages[:leading], self.crossed)):
            self.fields["system"] = system
        self.fields["messages"] = write_messages(repaired, self.crossed)
        written = tools.build(offered, self.losses)
        if self.crossed:
            written = self._with_options(written) or self._stubs(repaired)
        if written:
            self.fields["tools"] = written
        self._write_servers(offered)
        if written and choice:
            self.fields["tool_choice"] = choice

    def _with_options(self, written: list[Any]) -> list[Any]:
        """The tools, with what other formats ask of server tools beside them."""
        asked = self.content.named
        options, most = asked.get("web_search_options", b"null"), asked.get("max_tool_calls", b"null")
        if options != b"null":
            self.losses.append("web_search_options;approx")
            if not any(isinstance(tool, dict) and str(tool.get("type", "")).startswith("web_search") for tool in written):
                written = [*written, server.web_search(options)]
        return server.limit_uses(written, most, self.losses) if most != b"null" else written

    def _write_servers(self, offered: Sequence[Tool]) -> None:
        servers = [tool for tool in offered if tool.kind == "mcp"]
        if not self.crossed and "mcp_servers" in self.request.members:
            start, end = self.request.members["mcp_servers"]
            before = [(tool.name, tool.server) for tool in parse_content(self.request).tools if tool.kind == "mcp"]
            if [(tool.name, tool.server) for tool in servers] == before:
                self.fields["mcp_servers"] = Raw(self.request.body[start:end])
                return
        if built := server.build_servers(servers):
            self.fields["mcp_servers"] = built
            self.betas += [server.MCP_BETA] if self.crossed else []

    def _stubs(self, messages: Sequence[Message]) -> list[Any]:
        """The API wants the tools of a conversation that used some."""
        names = dict.fromkeys(call.name for message in messages for call in order.calls_of(message))
        if names:
            self.losses.append("tools;approx")
        return [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in names]

    @property
    def thinks(self) -> bool:
        return thinking.kind_of(self.fields.get("thinking")) != "disabled"

    def _own(self, name: str) -> dict[str, Any]:
        """An object of the client's own body in this format."""
        if self.crossed or name not in self.request.members:
            return {}
        start, end = self.request.members[name]
        return blocks.members(self.request.body[start:end], name) if self.request.body[start:end] != b"null" else {}

    def _write_output(self) -> None:
        config = self._own("output_config")
        config.pop("format", None)
        config.pop("effort", None)
        if effort := thinking.effort(self.content.reasoning, self.target, self.crossed, self.thinks, self.losses):
            config["effort"] = effort
        made = self._format()
        if made is not None and not self.crossed and "output_format" in self.request.members:
            self.fields["output_format"] = made
        elif made is not None:
            config["format"] = made
        if config:
            self.fields["output_config"] = config

    def _format(self) -> dict[str, Any] | None:
        wanted = self.content.output
        if wanted is None:
            return None
        if wanted.verbosity is not None:
            self.losses.append("verbosity;drop")
        if wanted.type == "json":
            self.losses.append("response_format;approx")
            self._append_system(JSON_SENTENCE)
        if wanted.type not in ("schema", "enum"):
            return None
        schema = wanted.schema or b"{}"
        if wanted.type == "enum":
            self.losses.append("response_format;approx")
        if self.crossed:
            schema = strict_schema(schema, self.losses, "response_format.schema")
            if wanted.description is not None:
                self.losses.append("response_format.description;approx")
                schema = write({"description": wanted.description} | blocks.members(schema))
        return {"type": "json_schema", "schema": Raw(schema)}

    def _append_system(self, sentence: str) -> None:
        system = self.fields.get("system")
        if isinstance(system, Raw):
            system = loads(bytes(system))
        if isinstance(system, list):
            self.fields["system"] = [*system, {"type": "text", "text": sentence}]
        else:
            self.fields["system"] = f"{system}\n\n{sentence}" if system else sentence

    def _write_sampling(self) -> None:
        sampling = self.content.sampling
        for name in ("frequency_penalty", "presence_penalty", "seed", "logit_bias", "logprobs", "top_logprobs"):
            if getattr(sampling, name):
                self.losses.append(f"{name};drop")
        if sampling.n is not None and sampling.n > 1:
            self.losses.append("n;drop")
        stop = [text for text in sampling.stop if text.strip() or not self.crossed]
        if len(stop) < len(sampling.stop):
            self.losses.append("stop;approx")
        if stop:
            self.fields["stop_sequences"] = stop
        for name in ("temperature", "top_p", "top_k"):
            value = getattr(sampling, name)
            if value is not None and (fitting := self._sample(name, value)):
                self.fields[name] = Raw(fitting.encode())

    def _sample(self, name: str, value: str) -> str | None:
        if not self.crossed:
            return value
        if self.thinks or not self.target.sampling:
            self.losses.append(f"{name};drop")
            return None
        if name == "temperature" and float(value) > 1:
            self.losses.append("temperature;approx")
            return "1"
        return value

    def _write_rest(self) -> None:
        content, fields = self.content, self.fields
        metadata = self._own("metadata")
        metadata.pop("user_id", None)
        if content.end_user is not None:
            if self.crossed:
                self.losses.append("end_user;approx")
            metadata["user_id"] = user_id(content.end_user, USER_ID_LIMIT)
        if metadata:
            fields["metadata"] = metadata
        if content.metadata and content.metadata != b"null":
            self.losses.append("metadata;drop")
        self._write_tier(content.service_tier)
        for name, value in content.ext.items():
            if self.crossed:
                self.losses += [f"ext.{name};drop"] if value != b"null" else []
            elif name not in ("metadata", "output_config"):
                fields.setdefault(name, Raw(value))

    def _write_tier(self, tier: str | None) -> None:
        if tier is None:
            return
        name, value = ("speed", "fast") if tier == "fast" else ("service_tier", _TIERS.get(tier, tier))
        if self.crossed and (name, value) != ("service_tier", "auto"):
            kept = value in ("fast", "standard_only")
            self.losses.append("service_tier;approx" if kept else "service_tier;drop")
            if not kept:
                return
            self.betas += [FAST_BETA] if value == "fast" else []
        self.fields[name] = value


_TIERS = {"default": "standard_only", "standard": "standard_only"}
