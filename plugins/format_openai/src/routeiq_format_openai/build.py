"""A request for an OpenAI-compatible provider: `Content` of any format → body. Pure, so that prompt caches hit.

A request of this format that a plugin edited keeps the client's body: only the members whose content changed are replaced.
"""

from __future__ import annotations

from msgspec import Raw
from routeiq_sdk.openai_family import raw_members
from routeiq_sdk.openai_requests import Members, ask_usage, asking_usage, edits, obfuscation
from routeiq_sdk.request import Content, Request
from routeiq_sdk.resources import Deployment
from routeiq_sdk.surrogates import dump
from routeiq_sdk.wire import Built, patch

from .messages import write_messages
from .named import MEMBERS, write_named
from .options import write_effort, write_limit, write_output, write_sampling, write_tier, write_user
from .request import parse
from .target import Target, target
from .tools import write_choice, write_tools

PATH = "/chat/completions"
LIMITS = frozenset({"max_tokens", "max_completion_tokens"})


def build(request: Request, deployment: Deployment) -> Built:
    """Raises `ClientError` for what must not be approximated."""
    losses: list[str] = []
    to = target(request, deployment, losses)
    changed = _members(request, Content() if to.crossed else parse(request), to)
    if to.crossed:
        body = _crossed(changed, request, deployment, to)
    else:
        changed = {**edits(request, deployment, LIMITS), **changed}
        if request.stream:
            ask_usage(request, changed)
        body = patch(request.body, request.members, changed)
    return Built(path=PATH, body=body, losses=tuple(dict.fromkeys(losses)))


def _crossed(changed: Members, request: Request, deployment: Deployment, to: Target) -> bytes:
    fields: dict[str, Raw] = {"model": Raw(dump(deployment.model))}
    fields |= {name: Raw(value) for name, value in changed.items() if value is not None}
    for name, value in deployment.defaults.items():
        if name not in fields and not (name in LIMITS and LIMITS & fields.keys()):
            fields[name] = Raw(value)
    if request.stream:
        options = raw_members(asking_usage(bytes(fields.get("stream_options", Raw(b""))))) | (obfuscation(request) if to.native else {})
        fields |= {"stream": Raw(b"true"), "stream_options": Raw(dump(options))}
    return dump(fields)


def _members(request: Request, old: Content, to: Target) -> Members:
    """The members of every field of the content that is not as in `old`."""
    new, made = request.content, Members()
    extra = write_named(new.named, request.stream, to) if to.crossed else _changed_named(new, old, to)
    if new.messages != old.messages:
        made["messages"] = dump(write_messages(new.messages, old.messages, to))
    if new.tools != old.tools:
        made |= write_tools(new.tools, to)
    if new.tool_choice != old.tool_choice:
        made |= _choice(new, made, to)
    if new.sampling != old.sampling:
        off = new.reasoning is not None and new.reasoning.mode == "off"
        made |= write_sampling(new.sampling, old.sampling, off, to)
    if new.max_output_tokens != old.max_output_tokens:
        made |= write_limit(new.max_output_tokens, request, to)
    if new.reasoning != old.reasoning:
        made["reasoning_effort"] = write_effort(new.reasoning, to)
    if new.output != old.output:
        made |= write_output(new.output, old.output, to)
    if new.end_user != old.end_user:
        made |= write_user(new.end_user, request, to)
    if new.metadata != old.metadata:
        made["metadata"] = new.metadata or None
    if new.service_tier != old.service_tier:
        made |= write_tier(new.service_tier, to)
    if to.crossed:
        to.losses.extend(f"ext.{name};drop" for name in new.ext)
    else:
        made |= {name: new.ext.get(name) for name in (*old.ext, *new.ext) if new.ext.get(name) != old.ext.get(name)}
    return made | extra


def _changed_named(new: Content, old: Content, to: Target) -> Members:
    changed = [name for name in (*old.named, *new.named) if new.named.get(name) != old.named.get(name)]
    to.losses.extend(f"{name};drop" for name in changed if name not in MEMBERS)
    return {MEMBERS[name]: new.named.get(name) for name in changed if name in MEMBERS}


def _choice(new: Content, made: Members, to: Target) -> Members:
    """A choice without tools is refused by the provider; the one that was given for nothing but lost tools says so."""
    if not to.crossed:
        return write_choice(new.tool_choice, new.tools, to)
    written = write_choice(new.tool_choice, new.tools, to)
    if made.get("tools"):
        return written
    if new.tool_choice is not None and new.tool_choice.mode in ("required", "validated"):
        to.lose("tool_choice;drop")
    return {}
