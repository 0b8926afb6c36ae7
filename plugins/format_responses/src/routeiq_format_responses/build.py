"""A request for a provider of this format: `Content` of any format → body. Pure, so that prompt caches hit.

A request of this format that a plugin edited keeps the client's body: only the members whose content changed are replaced.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw
from routeiq_sdk import crossing
from routeiq_sdk.errors import ClientError
from routeiq_sdk.openai_family import is_set, raw_members
from routeiq_sdk.openai_requests import Members, may_reason, obfuscation, sent
from routeiq_sdk.request import Content, Message, OutputOptions, ReasoningOptions, Request, Sampling, Tool, ToolChoice
from routeiq_sdk.resources import Deployment
from routeiq_sdk.stream import Text
from routeiq_sdk.surrogates import dump
from routeiq_sdk.wire import Built, loads, patch

from .frames import NAME, raw_items
from .items import ADDITIONAL_TOOLS, read_item
from .parse import ENCRYPTED, LOGPROBS, NAMED, added_tools, parse
from .tools import web_search, write_choice, write_tools
from .write import Writer, is_instructions, without_foreign, write_input

PATH, COUNT_PATH = "/responses", "/responses/input_tokens"
USER_LIMIT = 64
_TIERS = {"standard_only": "default", "standard": "default"}
_KNOWN_TIERS = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
_LIMITS = ("max_output_tokens", "max_tokens", "max_completion_tokens")
_NOT_HERE = frozenset({
    "stop", "seed", "n", "frequency_penalty", "presence_penalty", "logit_bias", "stream_options", "response_format", "logprobs",
})  # fmt: skip
"""Members of Chat Completions that a deployment's defaults may name and this format refuses."""
_MEMBERS = {name: member for member, name in NAMED.items()}


def path_of(request: Request) -> str:
    return COUNT_PATH if request.operation == "count_tokens" else PATH


def edits(request: Request, deployment: Deployment) -> Members:
    """Members to change in the client's own body for this deployment."""
    changed: Members = {}
    names = request.members
    if (value := dump(deployment.model)) != sent(request, "model"):
        changed["model"] = value
    if request.operation != "count_tokens":
        changed |= {name: value for name, value in _defaults(deployment).items() if name not in names}
        if (sent(request, "stream") == b"true") is not request.stream:
            changed["stream"] = b"true" if request.stream else b"false"
    if b"_rq" in request.body or b'"rq1.' in request.body:
        rest = without_foreign(sent(request, "input"))
        changed |= {} if rest is None else {"input": dump(rest)}
    return changed


def _defaults(deployment: Deployment) -> dict[str, bytes]:
    """Configured in the words of Chat Completions."""
    made: dict[str, bytes] = {}
    for name, value in deployment.defaults.items():
        if name in _LIMITS:
            made["max_output_tokens"] = value
        elif name == "reasoning_effort":
            made["reasoning"] = b'{"effort":%b}' % value
        elif name not in _NOT_HERE:
            made[name] = value
    return made


def build(request: Request, deployment: Deployment) -> Built:
    """Raises `ClientError` for what must not be approximated."""
    crossed = request.format != NAME
    to = Writer(crossed, [])
    if crossed:
        body = _crossed(request, deployment, to)
    else:
        changed = {**edits(request, deployment), **_changed(request, to)}
        if changed.get("input"):
            rest = without_foreign(changed["input"] or b"")
            changed["input"] = changed["input"] if rest is None else dump(rest)
        body = patch(request.body, request.members, changed)
    return Built(path=path_of(request), body=body, losses=tuple(dict.fromkeys(to.losses)))


def _crossed(request: Request, deployment: Deployment, to: Writer) -> bytes:
    new = request.content
    made = _members(request, new, Content(), to)
    made |= _named(new, made, to)
    made |= _include(request, new, deployment)
    to.losses.extend(f"ext.{name};drop" for name in new.ext)
    if to.crossed and not new.tools and "tools" not in made:
        made.pop("tool_choice", None)
        made.pop("parallel_tool_calls", None)
    fields: dict[str, Raw] = {"model": Raw(dump(deployment.model))}
    fields |= {name: Raw(value) for name, value in made.items() if value is not None}
    for name, value in _defaults(deployment).items():
        fields.setdefault(name, Raw(value))
    if request.operation == "count_tokens":
        fields = {name: value for name, value in fields.items() if name in _COUNTED}
    elif request.stream:
        fields["stream"] = Raw(b"true")
        if options := obfuscation(request):
            fields["stream_options"] = Raw(dump(options))
    return dump(fields)


_COUNTED = frozenset({"model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning"})


def _changed(request: Request, to: Writer) -> Members:
    """The members of every field of the content that is not as the client wrote it."""
    new, old = request.content, parse(request)
    made = _members(request, new, old, to)
    for name in (*old.named, *new.named):
        member = _MEMBERS.get(name)
        if member and new.named.get(name) != old.named.get(name):
            made[member] = new.named.get(name)
    made |= {name: new.ext.get(name) for name in (*old.ext, *new.ext) if new.ext.get(name) != old.ext.get(name) and "." not in name}
    return made


def _members(request: Request, new: Content, old: Content, to: Writer) -> Members:
    made = Members()
    if new.messages != old.messages:
        made |= _messages(new.messages, old.messages, to)
    if new.tools != old.tools:
        listed = new.tools if to.crossed else _listed(request, new.tools, made)
        made["tools"] = write_tools(listed, b"" if to.crossed else sent(request, "tools"), to.crossed, to.losses)
    if new.tool_choice != old.tool_choice:
        made |= _choice(new.tool_choice, old.tool_choice, new, to)
    if new.sampling != old.sampling:
        made |= _sampling(new.sampling, old.sampling, request, to)
    if new.max_output_tokens != old.max_output_tokens:
        if new.max_output_tokens == 0 and to.crossed:
            raise ClientError("max_tokens: 0 asks only to fill the prompt cache, which this model's provider cannot do", param="max_tokens")
        made["max_output_tokens"] = None if new.max_output_tokens is None else dump(new.max_output_tokens)
    if new.reasoning != old.reasoning:
        made["reasoning"] = _reasoning(new.reasoning, to)
    if new.output != old.output:
        made["text"] = _text(new.output or OutputOptions(), old.output or OutputOptions(), request, to)
    if new.end_user != old.end_user:
        made |= _user(new.end_user, request, to)
    if new.metadata != old.metadata:
        made["metadata"] = new.metadata or None
    if new.service_tier != old.service_tier:
        made["service_tier"] = _tier(new.service_tier, to)
    return made


def _listed(request: Request, tools: tuple[Tool, ...], made: Members) -> tuple[Tool, ...]:
    """The tools that belong into `tools`. Those in the conversation stay there if all do, or else all are listed."""
    given = made.get("input") or sent(request, "input")
    added, _ = added_tools(given)
    if all(tool in tools for tool in added):
        return tuple(tool for tool in tools if tool not in added)
    made["input"] = dump([Raw(each) for each in raw_items(given) if read_item(each).type != ADDITIONAL_TOOLS])
    return tools


def _messages(new: tuple[Message, ...], old: tuple[Message, ...], to: Writer) -> Members:
    made: Members = {}
    mine = new[0] if new and (is_instructions(new[0]) or (to.crossed and _is_plain(new[0]))) else None
    before = old[0] if old and is_instructions(old[0]) else None
    rest = new[1:] if mine is not None else new
    if not to.crossed and mine is None:
        mine = next((message for message in new if is_instructions(message)), None)
        rest = tuple(message for message in new if message is not mine)
    if mine != before:
        made["instructions"] = None if mine is None else dump("\n\n".join(part.text for part in mine.parts if isinstance(part, Text)))
    left = old[1:] if before is not None else old
    if rest == left:
        return made
    if len(rest) == 1 and rest[0].role == "user" and rest[0].native.startswith(b'"') and _is_plain(rest[0], "user"):
        return {**made, "input": dump(rest[0].parts[0].text)}  # type: ignore[attr-defined]
    return {**made, "input": dump(write_input(rest, left, to))}


def _is_plain(message: Message, role: str = "system") -> bool:
    return message.role == role and len(message.parts) == 1 and isinstance(message.parts[0], Text) and message.parts[0].cache is None


def _choice(new: ToolChoice | None, old: ToolChoice | None, content: Content, to: Writer) -> Members:
    made: Members = dict(write_choice(new, content.tools, to.crossed, to.losses))
    unset = new is None or (new.mode, new.allowed) == ("auto", ())
    if unset and (old is None or (old.mode, old.allowed) == ("auto", ())):
        made.pop("tool_choice", None)
    return made


_DROPPED = ("top_k", "frequency_penalty", "presence_penalty", "seed")


def _sampling(new: Sampling, old: Sampling, request: Request, to: Writer) -> Members:
    made: Members = {}
    for name in ("temperature", "top_p"):
        value = getattr(new, name)
        if value != getattr(old, name):
            made[name] = None if value is None else value.encode()
    to.losses.extend(f"{name};drop" for name in _DROPPED if getattr(new, name) is not None)
    if new.stop:
        to.lose("stop;drop")
    if new.logit_bias:
        to.lose("logit_bias;drop")
    if new.n is not None and new.n > 1:
        to.lose("n;drop")
    if new.top_logprobs != old.top_logprobs:
        made["top_logprobs"] = None if new.top_logprobs is None else dump(new.top_logprobs)
    if new.logprobs != old.logprobs and not to.crossed:
        asked = [name for name in loads(sent(request, "include") or b"[]") or () if name != LOGPROBS]
        asked += [LOGPROBS] if new.logprobs else []
        made["include"] = dump(asked) if asked else None
    return made


def _reasoning(reasoning: ReasoningOptions | None, to: Writer) -> bytes | None:
    if reasoning is None:
        return None
    own: dict[str, Any] = {} if to.crossed else dict(raw_members(reasoning.native))
    effort = "none" if reasoning.mode == "off" else reasoning.effort
    if effort is None and reasoning.mode == "budget" and reasoning.budget_tokens is not None:
        to.lose("reasoning.effort;approx")
        effort = crossing.effort_of(reasoning.budget_tokens)
    if effort is not None:
        own["effort"] = effort
    if reasoning.show in ("summary", "full"):
        own.setdefault("summary", "auto")
    if reasoning.show == "full" and to.crossed:
        to.lose("reasoning.show;approx")
    return dump(own) if own else None


def _text(new: OutputOptions, old: OutputOptions, request: Request, to: Writer) -> bytes | None:
    own: dict[str, Any] = {} if to.crossed else dict(raw_members(sent(request, "text")))
    if new.verbosity != old.verbosity:
        own.pop("verbosity", None)
        own |= {} if new.verbosity is None else {"verbosity": new.verbosity}
    if (new.type, new.name, new.schema, new.strict, new.description) != (old.type, old.name, old.schema, old.strict, old.description):
        own["format"] = _format(new, to)
    return dump(own) if own else None


def _format(output: OutputOptions, to: Writer) -> dict[str, Any]:
    if output.type not in ("schema", "enum"):
        return {"type": "json_object" if output.type == "json" else "text"}
    if output.type == "enum":
        to.lose("response_format;approx")
    given = {"description": output.description, "strict": output.strict}
    schema: dict[str, Any] = {"type": "json_schema", "name": output.name or "response", "schema": Raw(output.schema or b"{}")}
    return schema | {name: value for name, value in given.items() if value is not None}


def _user(user: str | None, request: Request, to: Writer) -> Members:
    name = "safety_identifier"
    if not to.crossed:
        name = next((given for given in ("safety_identifier", "user") if given in request.members), name)
    elif user is not None:
        fitting = crossing.user_id(user, USER_LIMIT)
        if fitting != user or request.format != "openai":
            to.lose("end_user;approx")
        user = fitting
    return {name: None if user is None else dump(user)}


def _tier(tier: str | None, to: Writer) -> bytes | None:
    if tier is None:
        return None
    if to.crossed and tier not in _KNOWN_TIERS:
        to.lose("service_tier;approx" if tier in _TIERS else "service_tier;drop")
        return dump(_TIERS[tier]) if tier in _TIERS else None
    return dump(tier)


_TAKEN = ("moderation", "cache.key", "cache.retention", "cache.options", "store")


def _named(content: Content, made: Members, to: Writer) -> Members:
    """Members of other formats that this one has too; the others are reported, and some refused."""
    more: Members = {"store": b"false"}
    for name, value in content.named.items():
        crossing.refuse(name, value)
        if name in _TAKEN:
            more[_MEMBERS[name]] = value
        elif name == "web_search_options":
            to.lose("web_search_options;approx")
            tools = [Raw(each) for each in raw_items(made.get("tools"))]
            more["tools"] = dump([*tools, Raw(dump(web_search(value)))])
        elif name == "speed" and value == b'"fast"' and content.service_tier is None:
            to.lose("speed;approx")
            more["service_tier"] = b'"fast"'
        elif name in ("modalities", "audio", "speech_config", "image_config"):
            _text_only(name, value, to)
        elif name == "mcp_servers" and any(tool.kind == "mcp" for tool in content.tools):
            continue  # they are tools already
        else:
            to.lose(f"{name};drop")
    return more


def _text_only(name: str, value: bytes, to: Writer) -> None:
    asked = loads(value) if name == "modalities" else []
    if isinstance(asked, list) and any(str(each).lower() != "text" for each in asked):
        raise ClientError(f"modalities: this model's provider answers in text, not {', '.join(map(str, asked))}", param="modalities")
    if name != "modalities" and is_set(value):
        to.lose(f"{name};drop")


def _include(request: Request, content: Content, deployment: Deployment) -> Members:
    """State that the client must carry itself, since it is not stored; models without reasoning refuse to be asked for it."""
    asked = [ENCRYPTED] if may_reason(deployment) else []
    if content.sampling.logprobs or (content.sampling.top_logprobs and content.sampling.logprobs is not False):
        asked.append(LOGPROBS)
    return {"include": dump(asked) if asked else None}
