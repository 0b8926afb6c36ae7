"""Sampling, limits, reasoning, output, tier and end user of any format → members of a Chat Completions body."""

from __future__ import annotations

from typing import Any

from msgspec import Raw
from routeiq_sdk.crossing import effort_of, user_id
from routeiq_sdk.errors import ClientError
from routeiq_sdk.openai_requests import Members
from routeiq_sdk.request import OutputOptions, ReasoningOptions, Request, Sampling
from routeiq_sdk.surrogates import dump

from .target import Target

_SPELLED = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed")
_NOT_OF_REASONERS = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "stop")
_DEFAULTS = (b"1", b"1.0", b"0", b"0.0")
_STOPS = 4
_TIERS = {"standard_only": "default", "standard": "default"}
_KNOWN_TIERS = frozenset(("auto", "default", "flex", "scale", "priority", "fast"))
USER_LIMIT = 128


def write_sampling(new: Sampling, old: Sampling, off: bool, to: Target) -> Members:
    """`off`: the client asked for no reasoning."""
    made: Members = {}
    for name in _SPELLED:
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
            to.lose("stop;approx")
    if not to.crossed:
        return made
    if new.top_logprobs is not None and new.logprobs is None:
        made["logprobs"] = b"true"
    if to.native and made.pop("top_k", None) is not None:
        to.lose("top_k;drop")
    if to.reasons and not off:
        _drop_sampling(made, to)
    return made


def _drop_sampling(made: Members, to: Target) -> None:
    """OpenAI's reasoning models answer 400 to each of these."""
    for name in _NOT_OF_REASONERS:
        value = made.get(name)
        if value is None or (value in _DEFAULTS[:2] and name in ("temperature", "top_p")):
            continue
        if made.pop(name) not in _DEFAULTS[2:] and name != "top_logprobs":
            to.lose(f"{name};drop")


def write_limit(limit: int | None, request: Request, to: Target) -> Members:
    if limit == 0 and to.crossed:
        raise ClientError("max_tokens: 0 asks only to fill the prompt cache, which this model's provider cannot do", param="max_tokens")
    name = "max_completion_tokens" if to.native else "max_tokens"
    if not to.crossed:
        name = next((given for given in ("max_completion_tokens", "max_tokens") if given in request.members), name)
    return {name: None if limit is None else dump(limit)}


def write_effort(reasoning: ReasoningOptions | None, to: Target) -> bytes | None:
    if reasoning is None:
        return None
    if to.crossed and reasoning.show in ("summary", "full"):
        to.lose("reasoning.show;drop")
    effort = "none" if reasoning.mode == "off" else reasoning.effort
    budgeted = effort is None and reasoning.mode == "budget" and reasoning.budget_tokens is not None
    if budgeted and reasoning.budget_tokens is not None:
        effort = effort_of(reasoning.budget_tokens)
    if effort is None:
        return None
    if to.crossed and not to.takes_effort:
        if effort != "none":
            to.lose("reasoning.effort;drop")
        return None
    if budgeted:
        to.lose("reasoning.effort;approx")
    return dump(effort)


def write_output(new: OutputOptions | None, old: OutputOptions | None, to: Target) -> Members:
    new, old = new or OutputOptions(), old or OutputOptions()
    made: Members = {}
    if new.verbosity != old.verbosity:
        made["verbosity"] = None if new.verbosity is None else dump(new.verbosity)
    if (new.type, new.name, new.schema, new.strict, new.description) == (old.type, old.name, old.schema, old.strict, old.description):
        return made
    if new.type not in ("schema", "enum"):
        return {**made, "response_format": b'{"type":"json_object"}' if new.type == "json" else None}
    if new.type == "enum":
        to.lose("response_format;approx")
    schema: dict[str, Any] = {"name": new.name or "response", "schema": Raw(new.schema or b"{}")}
    schema |= {name: value for name, value in (("description", new.description), ("strict", new.strict)) if value is not None}
    return {**made, "response_format": dump({"type": "json_schema", "json_schema": schema})}


def write_tier(tier: str | None, to: Target) -> Members:
    if tier is None or not to.crossed:
        return {"service_tier": None if tier is None else dump(tier)}
    written = _TIERS.get(tier, tier)
    if written not in _KNOWN_TIERS:
        to.lose("service_tier;drop")
        return {}
    if written != tier:
        to.lose("service_tier;approx")
    return {"service_tier": dump(written)}


def write_user(user: str | None, request: Request, to: Target) -> Members:
    name = "safety_identifier" if to.native else "user"
    if not to.crossed:
        name = next((given for given in ("safety_identifier", "user") if given in request.members), name)
    elif user is not None:
        fitting = user_id(user, USER_LIMIT)
        if to.client != "responses" or not to.native or fitting != user:
            to.lose("end_user;approx")
        user = fitting
    return {name: None if user is None else dump(user)}
