"""A request body: the envelope, checked on every request, the content, parsed only when somebody looks at it, and the body again."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from routeiq_sdk.errors import ClientError
from routeiq_sdk.openai_family import is_set
from routeiq_sdk.openai_requests import Anything, Members, ask_usage, asks_usage, edits, read_body
from routeiq_sdk.request import Content, Message, Request, Sampling
from routeiq_sdk.resources import Deployment
from routeiq_sdk.stream import Text
from routeiq_sdk.surrogates import dump
from routeiq_sdk.wire import Built, loads, mend, patch

from .chunks import NAME

PATH = "/completions"


class Envelope(Struct, gc=False):
    model: str
    prompt: str | list[str | int | list[int]] | None = None
    suffix: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    n: int | None = None
    best_of: int | None = None
    stop: str | list[str] | None = None
    logit_bias: Anything | None = None
    logprobs: int | None = None
    echo: bool | None = None
    stream: bool | None = None
    stream_options: Anything | None = None
    user: str | None = None


_envelope = msgspec.json.Decoder(Envelope)
_SPELLED = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed")
_PLAIN = frozenset(("prompt", "stop", "n", "logprobs", "max_tokens", "user"))
_NAMED = ("suffix", "echo", "best_of")
FIELDS = frozenset((*Envelope.__struct_fields__,))
"""Members that the content knows; all others are `ext`."""


def parse_request(body: bytes, operation: str) -> Request:
    return read_body(NAME, body, operation, _envelope, parse)


def parse(request: Request) -> Content:
    """One prompt is one user message. `named["prompts"]` stands for what only this format can say, several prompts or tokens: all
    others refuse it."""
    body = mend(request.body) if b"\\u" in request.body else request.body
    raw = {name: body[start:end] for name, (start, end) in request.members.items()}
    given = {name: loads(value) for name, value in raw.items() if name in _PLAIN}
    messages = _messages(given.get("prompt"))
    named = {name: raw[name] for name in _NAMED if name in raw and not _is_default(raw[name])}
    if is_set(raw.get("prompt")) and len(messages) != 1:
        named["prompts"] = raw["prompt"]
    stop, top = given.get("stop"), given.get("logprobs")
    return Content(
        messages=messages,
        sampling=Sampling(
            **{name: raw[name].decode() for name in _SPELLED if is_set(raw.get(name))},
            n=given.get("n"),
            stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
            logit_bias=raw["logit_bias"] if is_set(raw.get("logit_bias")) else b"",
            logprobs=None if top is None else True,
            top_logprobs=top,
        ),
        max_output_tokens=given.get("max_tokens"),
        end_user=given.get("user"),
        include_usage=asks_usage(raw.get("stream_options")),
        named=named,
        ext={name: value for name, value in raw.items() if name not in FIELDS},
    )


def _is_default(raw: bytes) -> bool:
    return raw in (b"null", b"false", b'""', b"1")


def _messages(prompt: Any) -> tuple[Message, ...]:
    """A message for each text; none where there are tokens."""
    if isinstance(prompt, str):
        return (Message(role="user", parts=(Text(text=prompt, origin=NAME),), was_str=True),)
    texts = prompt if isinstance(prompt, list) and all(isinstance(text, str) for text in prompt) else []
    return tuple(Message(role="user", parts=(Text(text=text, origin=NAME),)) for text in texts)


def build(request: Request, deployment: Deployment) -> Built:
    """An edited request of this format; another one cannot be expressed. Raises `ClientError`."""
    if request.format != NAME:
        raise ClientError("The model behind this name only completes text: ask it at /v1/completions.", param="model")
    new, old = request.content, parse(request)
    losses = [f"{name};drop" for name in ("tools", "tool_choice", "reasoning", "output") if getattr(new, name)]
    changed: Members = {}
    if new.messages != old.messages:
        changed["prompt"] = _prompt(new.messages, old.messages)
    if new.sampling != old.sampling:
        changed |= _sampling(new.sampling, old.sampling)
    if new.max_output_tokens != old.max_output_tokens:
        changed["max_tokens"] = None if new.max_output_tokens is None else dump(new.max_output_tokens)
    if new.end_user != old.end_user:
        changed["user"] = None if new.end_user is None else dump(new.end_user)
    for now, before in ((new.named, old.named), (new.ext, old.ext)):
        names = [name for name in (*before, *now) if now.get(name) != before.get(name)]
        changed |= {name: now.get(name) for name in names if name != "prompts"}
    changed = {**edits(request, deployment), **changed}
    if request.stream:
        ask_usage(request, changed)
    return Built(path=PATH, body=patch(request.body, request.members, changed), losses=tuple(losses))


def _prompt(messages: tuple[Message, ...], old: tuple[Message, ...]) -> bytes:
    """Raises `ClientError` for what is no prompt: messages of other roles, parts that are no text."""
    texts = ["".join(part.text for part in message.parts if isinstance(part, Text)) for message in messages]
    if any(message.role != "user" or not all(isinstance(part, Text) for part in message.parts) for message in messages):
        raise ClientError("prompt: a completion has only text, no roles and no other parts", param="prompt")
    return dump(texts[0] if len(texts) == 1 and (not old or old[0].was_str) else texts)


def _sampling(new: Sampling, old: Sampling) -> Members:
    changed: Members = {}
    for name in _SPELLED:
        value = getattr(new, name)
        if value != getattr(old, name):
            changed[name] = None if value is None else value.encode()
    if new.n != old.n:
        changed["n"] = None if new.n is None else dump(new.n)
    if new.logit_bias != old.logit_bias:
        changed["logit_bias"] = new.logit_bias or None
    if new.stop != old.stop:
        changed["stop"] = dump(new.stop) if new.stop else None
    if (new.logprobs, new.top_logprobs) != (old.logprobs, old.top_logprobs):
        changed["logprobs"] = dump(new.top_logprobs or 0) if new.logprobs else None
    return changed
