"""A request's path and body → `Request`, and, when somebody looks, its `Content`.

A user content with function responses is two messages inside: role `tool` with the results, then role `user` with the rest. Both carry
the whole wire content in `native`. Calls without an id get one, and responses without one belong to the first open call of their name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from msgspec import Raw, structs
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Content, Message, OutputOptions, ReasoningOptions, Request, Sampling
from routeiq_sdk.stream import Block, Text, ToolCall, ToolResult
from routeiq_sdk.wire import Asked
from routeiq_sdk.wire import members as member_spans

from . import parts, schema, tools
from .signatures import FOREIGN_MARK
from .wire import NAME, Fields, camel, items

STREAMS = ":streamGenerateContent"
NAMED = {
    "safetySettings": "safety_settings", "cachedContent": "cached_content", "store": "store",
    "responseModalities": "modalities", "speechConfig": "speech_config", "imageConfig": "image_config",
    "mediaResolution": "media_resolution",
}  # fmt: skip
TOP = frozenset((
    "model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "labels", "serviceTier", "generateContentRequest",
    "safetySettings", "cachedContent", "store",
))  # fmt: skip
CONFIG = frozenset((
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "presencePenalty", "frequencyPenalty", "seed",
    "responseLogprobs", "logprobs", "thinkingConfig", "responseModalities", "speechConfig", "imageConfig", "mediaResolution",
))  # fmt: skip
OUTPUT = ("responseMimeType", "responseSchema", "responseJsonSchema")
MODES = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "validated"}
ROLES = {"user": "user", "function": "user", "tool": "user", "model": "assistant", "assistant": "assistant", "system": "system"}


class Members(dict[str, tuple[int, int]]):
    """Spans of the top-level members, and whether the conversation holds what must not go back to a provider of this format."""

    has_foreign_state = False


def parse_request(body: bytes, asked: Asked) -> Request:
    spans = Members(member_spans(body))
    spans.has_foreign_state = FOREIGN_MARK in body
    names = {camel(name): span for name, span in spans.items()}
    wants = asked.operation == "count_tokens" and "generateContentRequest" in names
    for name, opening, kind in (("contents", b"[", "array"), ("tools", b"[", "array"), ("generationConfig", b"{", "object")):
        start, end = names.get(name, (0, 0))
        if end and body[start:end] != b"null" and not body.startswith(opening, start):
            raise ClientError(f"{name}: expected {kind}", param=name)
    if "contents" not in names and not wants:
        raise ClientError("contents: field required", param="contents")
    if len(names) < len(spans):
        raise ClientError("The request body names a member in two spellings.")
    model = asked.params.get("model", "").removeprefix("models/")
    stream = asked.path.endswith(STREAMS)
    return Request(format=NAME, model=model, stream=stream, body=body, parse=parse_content, operation=asked.operation, members=spans)


def parse_content(request: Request) -> Content:
    fields = Fields(request.body)
    inner = fields.object("generateContentRequest") if request.operation == "count_tokens" else None
    if inner is not None:
        fields = inner
    config = fields.object("generationConfig") or Fields(b"{}", "generationConfig")
    tool_config = fields.object("toolConfig")
    system = fields.raw("systemInstruction")
    tier = (fields.text("serviceTier") or "").lower()
    named = {NAMED[name]: raw for source in (fields, config) for name in NAMED if (raw := source.raw(name)) is not None}
    output, rest = _parse_output(config)
    return Content(
        messages=(*parse_system(system), *parse_contents(fields.raw("contents") or b"[]")),
        tools=tools.parse(fields.list("tools")),
        tool_choice=tools.parse_choice(tool_config),
        sampling=_parse_sampling(config),
        max_output_tokens=config.count("maxOutputTokens"),
        reasoning=parse_reasoning(config.object("thinkingConfig"), config.raw("thinkingConfig") or b""),
        output=output,
        metadata=fields.raw("labels") or b"",
        service_tier={"standard": "default", "": None}.get(tier, tier),
        named=named,
        ext=_parse_ext(fields, config, rest, tool_config),
    )


def _parse_ext(fields: Fields, config: Fields, rest: Mapping[str, bytes], tool_config: Fields | None) -> dict[str, bytes]:
    ext = fields.rest(TOP)
    ext |= {f"generationConfig.{name}": raw for name, raw in config.rest((*CONFIG, *OUTPUT)).items()}
    ext |= {f"generationConfig.{name}": raw for name, raw in rest.items()}
    if tool_config is not None:
        ext |= {f"toolConfig.{name}": raw for name, raw in tool_config.rest(("functionCallingConfig",)).items()}
        calling = tool_config.object("functionCallingConfig")
        more = calling.rest(("mode", "allowedFunctionNames")) if calling else {}
        ext |= {f"toolConfig.functionCallingConfig.{name}": raw for name, raw in more.items()}
    return ext


def parse_system(raw: bytes | None) -> tuple[Message, ...]:
    if raw is None:
        return ()
    if raw.startswith(b'"'):
        text = Fields(b'{"text":%b}' % raw, "systemInstruction").text("text") or ""
        return (Message(role="system", parts=(Text(text=text),), was_str=True, native=raw),)
    return (Message(role="system", parts=_blocks(Fields(raw, "systemInstruction"), "system"), native=raw),)


def parse_contents(raw: bytes) -> list[Message]:
    matcher = _Matcher()
    found: list[Message] = []
    for place, item in enumerate(items(raw, "contents")):
        found += parse_one(item, place, matcher)
    return found


def parse_one(raw: bytes | Raw, place: int, matcher: _Matcher | None = None) -> list[Message]:
    """The one or two messages of a content."""
    fields = Fields(raw, f"contents[{place}]")
    given = fields.text("role") or "user"
    role = ROLES.get(given)
    if role is None:
        raise ClientError(f"{fields.at('role')}: expected user or model, got {given!r}", param=fields.at("role"))
    native = bytes(raw)
    blocks = (matcher or _Matcher()).matched(_blocks(fields, str(place)))
    results = tuple(block for block in blocks if is_result(block))
    if role == "assistant" or not results:
        return [Message(role=role, parts=blocks, native=native)]
    rest = tuple(block for block in blocks if not is_result(block))
    tool = Message(role="tool", parts=results, native=native)
    return [tool, Message(role=role, parts=rest, native=native)] if rest else [tool]


def is_result(block: Block) -> bool:
    return isinstance(block, ToolResult) and block.owner == "client"


def _blocks(fields: Fields, seed: str) -> tuple[Block, ...]:
    given = fields.list("parts")
    return tuple(parts.parse(Fields(raw, f"{fields.place}.parts[{at}]"), raw, parts.mint(seed, at)) for at, raw in enumerate(given))


class _Matcher:
    """Gives each response the id of the call that it answers."""

    def __init__(self) -> None:
        self._open: dict[str, deque[str]] = {}
        self._answered: set[str] = set()

    def matched(self, blocks: Sequence[Block]) -> tuple[Block, ...]:
        return tuple(self._matched(block) for block in blocks)

    def _matched(self, block: Block) -> Block:
        if isinstance(block, ToolCall):
            key = "" if block.owner == "provider" else block.name
            self._open.setdefault(key, deque()).append(block.call_id)
            return block
        if not isinstance(block, ToolResult):
            return block
        if block.call_id:
            self._answered.add(block.call_id)
            return block
        waiting = self._open.get("" if block.owner == "provider" else block.name, deque())
        while waiting and waiting[0] in self._answered:
            waiting.popleft()
        if not waiting:
            return structs.replace(block, call_id=parts.mint("unanswered", block.name))
        return structs.replace(block, call_id=waiting.popleft())


def _parse_sampling(config: Fields) -> Sampling:
    top = config.count("logprobs")
    return Sampling(
        temperature=config.number("temperature"),
        top_p=config.number("topP"),
        top_k=config.number("topK"),
        frequency_penalty=config.number("frequencyPenalty"),
        presence_penalty=config.number("presencePenalty"),
        seed=config.number("seed"),
        n=config.count("candidateCount"),
        stop=config.strings("stopSequences"),
        logprobs=config.flag("responseLogprobs"),
        top_logprobs=top,
    )


def parse_reasoning(thinking: Fields | None, native: bytes) -> ReasoningOptions | None:
    if thinking is None:
        return None
    budget, level, shown = thinking.count("thinkingBudget"), thinking.text("thinkingLevel"), thinking.flag("includeThoughts")
    effort = level.lower() if level and level != "THINKING_LEVEL_UNSPECIFIED" else None
    mode = "default" if budget is None else "off" if budget == 0 else "auto" if budget < 0 else "budget"
    show = None if shown is None else "summary" if shown else "none"
    return ReasoningOptions(mode=mode, effort=effort, budget_tokens=budget if mode == "budget" else None, show=show, native=native)


def _parse_output(config: Fields) -> tuple[OutputOptions | None, dict[str, bytes]]:
    """What the answer must look like, and the members that say it in a way no other format has."""
    mime = config.text("responseMimeType")
    given, dialect = config.raw("responseJsonSchema"), config.raw("responseSchema")
    if given is None and dialect is not None:
        given = schema.to_json_schema(dialect)
    if mime == "text/x.enum":
        return OutputOptions(type="enum", schema=given or b"{}"), {}
    if given is not None:
        return OutputOptions(type="schema", schema=given), {}
    if mime == "application/json":
        return OutputOptions(type="json"), {}
    known = mime in (None, "", "text/plain")
    return (OutputOptions() if mime == "text/plain" else None), (
        {} if known else {"responseMimeType": config.raw("responseMimeType") or b""}
    )
