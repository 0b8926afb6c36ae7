"""Members that only this format has, or few others, by the names under which conversions report them.

Some names are no member: they say that the conversation holds something no other format can express (`citations`: a document asks
for them), so that another format's codec reports it. They are never written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Raw
from routeiq_sdk.crossing import refuse
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Message
from routeiq_sdk.stream import Media, Text

from .blocks import is_set, members
from .sse import plain

MEMBERS: Mapping[str, str] = MappingProxyType({
    "container": "container", "thread": "thread", "diagnostics": "diagnostics", "fallbacks": "fallbacks", "speed": "speed",
    "inference_geo": "geo", "context_management": "context_management", "compaction": "compaction", "cache_control": "cache.auto",
    "billing_policy": "billing",
})  # fmt: skip
BY_NAME: Mapping[str, str] = MappingProxyType({name: member for member, name in MEMBERS.items()})
_THINKING = frozenset({"type", "budget_tokens", "display"})
_SPEAKS_TEXT = frozenset({"text"})


def read(raw: Mapping[str, bytes], messages: Iterable[Message], betas: Sequence[str]) -> dict[str, bytes]:
    named = {name: raw[member] for member, name in MEMBERS.items() if is_set(Raw(raw.get(member, b"")))}
    if is_set(Raw(raw.get("output_config", b""))):
        budget = members(raw["output_config"], "output_config").get("task_budget")
        if budget is not None and is_set(budget):
            named["task_budget"] = bytes(budget)
    if is_set(Raw(raw.get("thinking", b""))):
        thinking = members(raw["thinking"], "thinking")
        if bytes(thinking["type"]) == b'"between_tools"':
            named["reasoning.between_tools"] = b"true"
        named |= {f"reasoning.{name}": bytes(value) for name, value in thinking.items() if name not in _THINKING}
    for message in messages:
        named |= _marks(message)
    if betas:
        named["betas"] = json.dumps(list(betas)).encode()
    return named


def _marks(message: Message) -> dict[str, bytes]:
    marks: dict[str, bytes] = {}
    for part in message.parts:
        if isinstance(part, Media) and part.modality == "document" and (b'"citations"' in part.native or b'"context"' in part.native):
            own = members(part.native)
            if is_set(own.get("context", Raw())):
                marks["document.context"] = b"true"
            if is_set(own.get("citations", Raw())) and plain(own["citations"]) != {"enabled": False}:
                marks["citations"] = b"true"
        elif isinstance(part, Text) and b'"search_result"' in part.native:
            marks["search_result"] = b"true"
    if message.role == "system" and message.native.startswith(b"{"):
        marks |= {f"messages.{name}": bytes(value) for name, value in members(message.native).items() if name not in ("role", "content")}
    return marks


def betas_of(lines: Iterable[str]) -> tuple[str, ...]:
    """The values of the `anthropic-beta` headers, each once, in order."""
    return tuple(dict.fromkeys(beta for line in lines for each in line.split(",") if (beta := each.strip())))


def is_mark(name: str) -> bool:
    return name in ("citations", "document.context", "search_result", "betas", "task_budget") or name.startswith(
        ("reasoning.", "messages.")
    )


def write_own(named: Mapping[str, bytes], losses: list[str]) -> dict[str, Raw]:
    """The members for a request of this format."""
    losses.extend(f"{name};drop" for name in named if name not in BY_NAME and not is_mark(name))
    return {BY_NAME[name]: Raw(value) for name, value in named.items() if name in BY_NAME}


def write_foreign(named: Mapping[str, bytes], losses: list[str]) -> dict[str, Raw]:
    """The members for a request of another format. Raises `ClientError` for what must not be left out."""
    fields: dict[str, Raw] = {}
    for name, value in named.items():
        if value == b"null" or name in ("max_tool_calls", "web_search_options") or _goes_without_saying(name, value):
            continue
        refuse(name, value)
        if name == "modalities":
            raise ClientError("modalities: the model behind this name gives text only", param=name)
        if name == "cache.options" and _asks_automatic(value):
            fields["cache_control"] = Raw(b'{"type":"ephemeral"}')
            losses.append("cache.options;approx")
        elif name == "cache.auto":
            is_own = value.startswith(b"{") and "type" in members(value)
            fields["cache_control"] = Raw(value if is_own else b'{"type":"ephemeral"}')
        elif name == "speed" and value in (b'"fast"', b'"standard"'):
            fields["speed"] = Raw(value)
        else:
            losses.append(f"{name};drop")
    return fields


def _goes_without_saying(name: str, value: bytes) -> bool:
    """Whether this asks for what the API does anyway."""
    given = plain(value)
    match name:
        case "background" | "store":
            return given is False
        case "truncation":
            return bool(given == "disabled")
        case "include":
            return isinstance(given, list) and all(item == "reasoning.encrypted_content" for item in given)
        case "modalities":
            return isinstance(given, list) and {str(item).lower() for item in given} <= _SPEAKS_TEXT
    return False


def _asks_automatic(value: bytes) -> bool:
    given = plain(value)
    return isinstance(given, dict) and given.get("mode") == "implicit"
