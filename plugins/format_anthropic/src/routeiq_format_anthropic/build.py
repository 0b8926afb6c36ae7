"""`Content` of any format → the body of a Messages request: a pure function, so that prompt caches hit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from msgspec import Raw
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Content, Message, ReasoningOptions, Request, Tool
from routeiq_sdk.resources import Deployment
from routeiq_sdk.stream import Block, Reasoning, ToolCall
from routeiq_sdk.wire import Built, loads

from . import abilities, blocks, order, tools
from .fit import fit, leading_system, limit_cache
from .parse import parse_message, parse_system
from .sse import NAME, write

HEADERS = (("anthropic-version", "2023-06-01"),)
PATHS = {"count_tokens": "/v1/messages/count_tokens"}
COUNTED = frozenset({
    "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control", "mcp_servers",
    "context_management",
})  # fmt: skip
BUDGETS = {"minimal": 1024, "low": 4096, "medium": 10240, "high": 24576, "xhigh": 32768, "max": 32768}
USER_ID_LIMIT = 256
JSON_SENTENCE = "Answer with a single JSON object and nothing else."
_NAMES = {"prompt_cache_key": "cache.key", "prompt_cache_retention": "cache.retention", "prompt_cache_options": "cache"}
_ROWS = frozenset({"prediction", "audio", "modalities", "store", "moderation", "web_search_options", "background", "prompt", "truncation"})


def path(request: Request) -> str:
    return PATHS.get(request.operation, "/v1/messages")


def build(request: Request, deployment: Deployment) -> Built:
    losses: list[str] = []
    body = _Body(request, deployment, losses).write()
    for name, value in deployment.defaults.items():
        if name != "max_tokens":
            body.setdefault(name, Raw(value))
    if request.operation == "count_tokens":
        body = {name: value for name, value in body.items() if name in COUNTED}
    return Built(path(request), write(body), HEADERS, tuple(dict.fromkeys(losses)))


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
    return blocks.content(tuple(part for message in messages for part in message.parts), len(messages) == 1 and messages[0].was_str)


class _Body:
    """One build: the request, its target, and what gets lost on the way."""

    def __init__(self, request: Request, deployment: Deployment, losses: list[str]) -> None:
        self.request, self.deployment, self.losses = request, deployment, losses
        self.content: Content = request.content
        self.crossed = request.format != NAME
        self.fields: dict[str, Any] = {"model": deployment.model}

    def write(self) -> dict[str, Any]:
        content = self.content
        limit = self._max_tokens()
        self.fields["max_tokens"] = limit
        messages = [fit(message, self.losses) for message in content.messages]
        self._write_reasoning(messages, limit)
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
        return value if isinstance(value, int) else abilities.max_tokens(self.deployment, self.request.stream)

    def _write_conversation(self, messages: Sequence[Message]) -> None:
        offered: Sequence[Tool] = self.content.tools
        if "web_search_options" in self.content.ext and self.crossed:
            self.losses.append("web_search_options;approx")
        offered, choice = tools.choose(self.content.tool_choice, offered, self.thinks, self.losses)
        offered, messages = limit_cache(offered, messages, self.crossed, self.losses)
        leading = leading_system(messages)
        repaired = order.repair(messages[leading:], self.crossed, self.losses)
        if leading and (system := write_system(messages[:leading], self.crossed)):
            self.fields["system"] = system
        self.fields["messages"] = write_messages(repaired, self.crossed)
        written = tools.build(offered, self.losses)
        if "web_search_options" in self.content.ext and self.crossed:
            written.append(tools.web_search(self.content.ext["web_search_options"]))
        if not written:
            written = self._stubs(repaired)
        if written:
            self.fields["tools"] = written
        if written and choice:
            self.fields["tool_choice"] = choice

    def _stubs(self, messages: Sequence[Message]) -> list[Any]:
        """The API wants the tools of a conversation that used some."""
        names = dict.fromkeys(call.name for message in messages for call in order.calls_of(message)) if self.crossed else {}
        if names:
            self.losses.append("tools;approx")
        return [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in names]

    @property
    def thinking(self) -> str:
        """The type of thinking that is sent, "disabled" for none."""
        thinking = self.fields.get("thinking")
        return str(loads(write(thinking)).get("type")) if thinking is not None else "disabled"

    @property
    def thinks(self) -> bool:
        return self.thinking != "disabled"

    def _write_reasoning(self, messages: Sequence[Message], limit: int) -> None:
        wanted = self.content.reasoning
        if wanted is None:
            return
        if wanted.native and not self.crossed and _unchanged(wanted):
            self.fields["thinking"] = Raw(wanted.native)
        elif thinking := self._thinking(wanted, limit):
            self.fields["thinking"] = thinking
        if self.thinking == "enabled" and not _sealed(messages):
            self.losses.append("reasoning;approx")
            self.fields["thinking"] = {"type": "disabled"}

    def _thinking(self, wanted: ReasoningOptions, limit: int) -> dict[str, Any] | None:
        if wanted.mode == "off" or wanted.effort == "none":
            return {"type": "disabled"}
        if wanted.mode == "auto" or (wanted.effort and self.crossed and abilities.takes_adaptive(self.deployment)):
            return {"type": "adaptive"}
        budget = wanted.budget_tokens if wanted.mode == "budget" else BUDGETS.get(wanted.effort or "") if self.crossed else None
        if budget is None:
            return None
        if wanted.mode != "budget":
            self.losses.append("reasoning.effort;approx")
        budget = min(budget, limit - 1024)
        return {"type": "enabled", "budget_tokens": budget} if budget >= 1024 else {"type": "disabled"}

    def _write_output(self) -> None:
        config: dict[str, Any] = blocks.members(self.content.ext["output_config"]) if self._own("output_config") else {}
        wanted, effort = self.content.output, self.content.reasoning.effort if self.content.reasoning else None
        config.pop("format", None)
        if not self.crossed and effort:
            config["effort"] = effort
        elif effort and effort != "none" and self.thinks and abilities.takes_adaptive(self.deployment):
            config["effort"] = "low" if effort == "minimal" else effort
            self.losses.append("reasoning.effort;approx")
        if wanted and wanted.verbosity is not None:
            self.losses.append("verbosity;drop")
        if wanted and wanted.type == "schema":
            schema = wanted.schema or b"{}"
            if self.crossed:
                schema = tools.strict_schema(schema, self.losses, "response_format.schema")
            config["format"] = {"type": "json_schema", "schema": Raw(schema)}
        elif wanted and wanted.type == "json":
            self.losses.append("response_format;approx")
            self._append_system(JSON_SENTENCE)
        if config:
            self.fields["output_config"] = config

    def _append_system(self, sentence: str) -> None:
        system = self.fields.get("system")
        if isinstance(system, list):
            self.fields["system"] = [*system, {"type": "text", "text": sentence}]
        else:
            text = loads(bytes(system)) if isinstance(system, Raw) else system
            self.fields["system"] = f"{text}\n\n{sentence}" if text else sentence

    def _write_sampling(self) -> None:
        sampling = self.content.sampling
        for name in ("frequency_penalty", "presence_penalty", "seed", "logit_bias", "logprobs"):
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
        if self.thinks or not abilities.takes_sampling(self.deployment):
            self.losses.append(f"{name};drop")
            return None
        if name == "temperature" and float(value) > 1:
            self.losses.append("temperature;approx")
            return "1"
        return value

    def _write_rest(self) -> None:
        content, fields = self.content, self.fields
        metadata: dict[str, Any] = blocks.members(content.ext["metadata"]) if self._own("metadata") else {}
        metadata.pop("user_id", None)
        if content.end_user is not None:
            metadata["user_id"] = self._user_id(content.end_user)
        if metadata:
            fields["metadata"] = metadata
        if content.metadata and content.metadata != b"null":
            self.losses.append("metadata;drop")
        self._write_tier(content.service_tier)
        for name, value in content.ext.items():
            if self.crossed:
                self._refuse(name, value)
            elif name not in fields:
                fields[name] = Raw(value)

    def _own(self, name: str) -> bool:
        return not self.crossed and name in self.content.ext

    def _user_id(self, given: str) -> str:
        if self.crossed:
            self.losses.append("end_user;approx")
        return given if len(given) <= USER_ID_LIMIT else hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()

    def _write_tier(self, tier: str | None) -> None:
        if tier is None:
            return
        name, value = ("speed", "fast") if tier == "fast" else ("service_tier", {"default": "standard_only"}.get(tier, tier))
        if self.crossed and (name, value) != ("service_tier", "auto"):
            kept = value in ("fast", "standard_only")
            self.losses.append("service_tier;approx" if kept else "service_tier;drop")
            if not kept:
                return
        self.fields[name] = value

    def _refuse(self, name: str, value: bytes) -> None:
        if value == b"null" or name == "web_search_options":
            return
        if name in ("background", "prompt", "previous_response_id", "conversation") and value != b"false":
            raise ClientError(f"{name}: the model behind this name does not support it.", param=name)
        if name == "modalities" and b"audio" in value:
            raise ClientError("modalities: the model behind this name gives text only.", param=name)
        if name == "modalities":
            return
        self.losses.append(f"{_NAMES.get(name) or (name if name in _ROWS else f'ext.{name}')};drop")


def _unchanged(wanted: ReasoningOptions) -> bool:
    native = loads(wanted.native)
    mode = {"enabled": "budget", "disabled": "off"}.get(native["type"], "auto")
    return mode == wanted.mode and native.get("budget_tokens") == wanted.budget_tokens


def _sealed(messages: Sequence[Message]) -> bool:
    """Whether the open tool loop, if the conversation ends in one, has the reasoning that a thinking model wants back."""
    turns = [message for message in messages if message.role == "assistant"]
    if not messages or messages[-1].role != "tool" or not turns:
        return True
    parts: tuple[Block, ...] = turns[-1].parts
    is_call = any(isinstance(part, ToolCall) and part.owner == "client" for part in parts)
    return not is_call or any(isinstance(part, Reasoning) for part in parts)
