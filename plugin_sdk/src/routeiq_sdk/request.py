"""The request as plugins see it, whatever wire format it came in.

`Request` holds the client's bytes and parses them only when somebody looks at the content. `replace()` gives an edited
copy; a request that nobody edited leaves as the bytes that arrived, with single members patched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from msgspec import Struct, structs

from .stream import Block, Cache, Reasoning, Text, ToolResult


class Absent(Enum):
    """The type of `ABSENT`: a field that the client did not send, which is different from null."""

    ABSENT = "absent"

    def __bool__(self) -> bool:
        return False


ABSENT: Final = Absent.ABSENT


class Message(Struct, frozen=True, kw_only=True):
    """`role`: system, developer, user, assistant, tool. A tool message holds only `ToolResult` parts.
    `was_str` remembers that the content was a bare string."""

    role: str
    parts: tuple[Block, ...] = ()
    name: str | None = None
    was_str: bool = False
    phase: str | None = None
    native: bytes = b""


class Tool(Struct, frozen=True, kw_only=True):
    """`kind`: function, custom, server, mcp. `parameters` is the raw JSON Schema, b"" if absent. `native` is the tool in `origin`'s
    own JSON. `type` is the native type of a server tool (`web_search_20250305`), `canonical` what it is in every format: web_search,
    web_fetch, file_search, code, shell, computer, browser, image, tool_search, memory, text_editor, maps, apply_patch. `grammar`
    of a custom tool is raw JSON `{"syntax", "definition"}`; of an mcp tool `server` is `{"label", "url", "authorization",
    "allowed_tools"}`."""

    name: str
    kind: str = "function"
    description: str | None = None
    parameters: bytes = b""
    strict: bool | None = None
    type: str = ""
    canonical: str = ""
    namespace: str = ""
    grammar: bytes = b""
    server: bytes = b""
    cache: Cache | None = None
    native: bytes = b""
    origin: str = ""


class ToolChoice(Struct, frozen=True, kw_only=True):
    """`mode`: auto, none, required, validated. `allowed`: names; a single one is forced."""

    mode: str = "auto"
    allowed: tuple[str, ...] = ()
    parallel: bool | None = None


class Sampling(Struct, frozen=True, kw_only=True):
    """Each field is None where the client sent none. Numbers keep their spelling as raw JSON text."""

    temperature: str | None = None
    top_p: str | None = None
    top_k: str | None = None
    frequency_penalty: str | None = None
    presence_penalty: str | None = None
    seed: str | None = None
    n: int | None = None
    stop: tuple[str, ...] = ()
    logit_bias: bytes = b""
    logprobs: bool | None = None
    top_logprobs: int | None = None


class ReasoningOptions(Struct, frozen=True, kw_only=True):
    """`mode`: off, auto, budget, default. `effort`: none, minimal, low, medium, high, xhigh, max. `show`: none, summary, full."""

    mode: str = "default"
    effort: str | None = None
    budget_tokens: int | None = None
    show: str | None = None
    native: bytes = b""


class OutputOptions(Struct, frozen=True, kw_only=True):
    """`type`: text, json, schema, enum (then `schema` is one whose values are the choices)."""

    type: str = "text"
    name: str | None = None
    schema: bytes = b""
    strict: bool | None = None
    description: str | None = None
    verbosity: str | None = None


class Content(Struct, frozen=True, kw_only=True):
    """The parsed body.

    `named` holds known members that only some formats have: report name → raw JSON, as the client's format writes it. A codec that
    builds another format's request takes those it can express and reports every other one as `name;drop`. The names (in brackets
    the members that they stand for): prediction, modalities, audio, moderation, store, previous_response_id, conversation,
    background, prompt, context_management, truncation, include, max_tool_calls, web_search_options, container, mcp_servers,
    thread, diagnostics, fallbacks, task_budget, speed, geo (`inference_geo`), safety_settings, cached_content,
    media_resolution, speech_config, image_config, cache.auto (a top-level `cache_control`), cache.key (`prompt_cache_key`),
    cache.retention, cache.options, compaction, billing (`billing_policy`), betas, suffix, echo, best_of.

    Some names are no member but say that another one holds what only its own format can express: item_reference (the id of an
    input item that is only referred to), prompts (several, or tokens), citations, document.context and search_result (parts have
    them), reasoning.<option>, messages.<member> of a system message.

    `ext` holds every top-level member that nothing else stands for: name → raw JSON. It goes back only to its own format;
    another one reports `ext.<name>;drop`.
    """

    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    sampling: Sampling = Sampling()
    max_output_tokens: int | None = None
    reasoning: ReasoningOptions | None = None
    output: OutputOptions | None = None
    end_user: str | None = None
    metadata: bytes = b""
    service_tier: str | None = None
    include_usage: bool = False
    named: Mapping[str, bytes] = {}
    ext: Mapping[str, bytes] = {}


class Request:
    """A client's request. Immutable: use `replace`.

    `model` is what is routed, `model_in` what the client wrote. `members` maps each top-level name to its span in `body`.
    """

    __slots__ = ("_content", "_parse", "body", "edited", "format", "members", "model", "model_in", "operation", "stream")

    def __init__(
        self,
        *,
        format: str,
        model: str,
        stream: bool,
        body: bytes,
        parse: Callable[[Request], Content],
        operation: str = "chat",
        members: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        self.format, self.model, self.model_in, self.stream = format, model, model, stream
        self.body, self.operation, self.members = body, operation, members or {}
        self._parse, self.edited = parse, False
        self._content: Content | None = None

    @property
    def content(self) -> Content:
        """Parsed on first use. Raises `ClientError` when the body is not what its format asks for."""
        if self._content is None:
            self._content = self._parse(self)
        return self._content

    @property
    def messages(self) -> tuple[Message, ...]:
        return self.content.messages

    @property
    def tools(self) -> tuple[Tool, ...]:
        return self.content.tools

    def text(self) -> str:
        """All text of all messages, tool results included, one part a line."""
        return "\n".join(text for message in self.messages for part in message.parts for text in _texts(part))

    def replace(self, *, model: str | None = None, stream: bool | None = None, **content: Any) -> Request:
        """An edited copy. `content` names fields of `Content`; any of them makes the body be written anew for the provider."""
        new = object.__new__(Request)
        for name in Request.__slots__:
            setattr(new, name, getattr(self, name))
        if model is not None:
            new.model = model
        if stream is not None:
            new.stream = stream
        if content:
            new._content, new.edited = structs.replace(self.content, **content), True
        return new


def _texts(part: Block) -> list[str]:
    if isinstance(part, Text | Reasoning):
        return [part.text]
    if isinstance(part, ToolResult):
        return [text for inner in part.parts for text in _texts(inner)]
    return []
