"""What one request has been through, and what its own body says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from routeiq_sdk import ClientError, Request, RequestContext

OWN = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "disable_fallbacks", "num_retries")
"""LiteLLM's members of a request body. They are for the gateway and never reach a provider."""
MAX_FALLBACKS = 20
MAX_RETRIES = 10
NAME = "resilience"


class Asked(Struct, frozen=True):
    """None: the request says nothing of it."""

    fallbacks: tuple[str, ...] | None = None
    context_window_fallbacks: tuple[str, ...] | None = None
    content_policy_fallbacks: tuple[str, ...] | None = None
    num_retries: int | None = None
    disable_fallbacks: bool = False


class Tried(Struct):
    """`seen`: model groups that were tried or wait for it. `retries`, `attempts` and `wait_s` (the last) are those of the current group."""

    group: str
    asked: Asked = Asked()
    seen: set[str] = msgspec.field(default_factory=set)
    pending: list[str] = msgspec.field(default_factory=list)
    moves: int = 0
    retries: int = 0
    attempts: int = 0
    wait_s: float = 0.0
    rescues: int = 0
    refused: bool = False
    """Whether somebody would not take a prefill."""
    probe: str = ""
    """The deployment that this request probes."""

    def move(self, group: str) -> None:
        """On to another model group, or to the same one anew."""
        self.group = group
        self.seen.add(group)
        self.moves += 1
        self.retries = self.attempts = 0
        self.wait_s = 0.0


def tried(rc: RequestContext) -> Tried:
    found = rc.state.get(NAME)
    if found is None:
        group = rc.request.model if rc.request else ""
        found = rc.state[NAME] = Tried(group, seen={group})
    return found


def taken(request: Request) -> tuple[Request, Asked]:
    """The request without what is the gateway's, and that. Raises `ClientError` for values that make no sense."""
    given = {name: _value(request, name) for name in OWN if name in request.members}
    content = request.content
    ext, kept = ({name: raw for name, raw in members.items() if name not in given} for members in (content.ext, content.named))
    chains = {name: _chain(name, given[name], request.model) for name in OWN[:3] if given.get(name) is not None}
    retries, disabled = given.get("num_retries"), given.get("disable_fallbacks")
    if not (retries is None or (type(retries) is int and 0 <= retries <= MAX_RETRIES)):
        raise ClientError(f"num_retries: expected a number from 0 to {MAX_RETRIES}", param="num_retries")
    if not isinstance(disabled, bool | None):
        raise ClientError("disable_fallbacks: expected true or false", param="disable_fallbacks")
    return request.replace(ext=ext, named=kept), Asked(**chains, num_retries=retries, disable_fallbacks=bool(disabled))


def _value(request: Request, name: str) -> Any:
    start, end = request.members[name]
    return msgspec.json.decode(request.body[start:end])


def _chain(name: str, value: Any, model: str) -> tuple[str, ...]:
    """Names, `{"model": name}`, or `{model: [names]}` of which only the request's own counts."""
    found = [each for entry in value for each in _names(name, entry, model)] if isinstance(value, list) else None
    if found is None or len(found) > MAX_FALLBACKS:
        raise ClientError(f"{name}: expected a list of at most {MAX_FALLBACKS} model names", param=name)
    return tuple(found)


def _names(name: str, entry: Any, model: str) -> Sequence[str]:
    if isinstance(entry, str):
        return (entry,)
    if isinstance(entry, Mapping) and isinstance(entry.get("model"), str):
        if len(entry) > 1:
            more = ", ".join(sorted(set(entry) - {"model"}))
            raise ClientError(f"{name}: a fallback cannot change the request ({more}); name models only", param=name)
        return (entry["model"],)
    if isinstance(entry, Mapping) and all(isinstance(to, list) and all(isinstance(each, str) for each in to) for to in entry.values()):
        return tuple(entry.get(model, ()))
    raise ClientError(f"{name}: expected a list of model names", param=name)
