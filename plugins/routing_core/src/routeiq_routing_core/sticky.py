"""`sticky-session`: the requests of a session go to one deployment, chosen by rendezvous hashing. Nothing is remembered, all workers
and replicas choose alike, and when deployments come or go only the sessions of those move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import log
from typing import Any

from routeiq_sdk import Deployment, Request, RequestContext
from routeiq_sdk.wire import loads

from .ranking import Ranked, Ranking, shared, weight

HEADERS = ("x-routeiq-session", "x-session-id", "x-litellm-session-id")
METADATA = ("session_id", "session", "user_id", "user")
"""Keys of `metadata`; `user_id` is where Anthropic's format has the user, to which its own clients add the session."""
MEMBERS = ("litellm_session_id", "session_id", "user", "safety_identifier")
MAX_METADATA = 16_384
"""Bytes; larger ones are not looked into."""


class Sticky:
    """Without a session, `base` decides."""

    def __init__(self, base: Ranking) -> None:
        self._base = base

    def rank(self, alike: Sequence[Deployment], request: Request, rc: RequestContext) -> Ranked:
        where, name = session(request, rc)
        if not where:
            ranked = self._base.rank(alike, request, rc)
            return Ranked(ranked.order, f"without a session, {ranked.reason}", ranked.scores)
        return Ranked(rendezvous(alike, name.encode("utf-8", "surrogatepass")), f"by {where}")


def session(request: Request, rc: RequestContext) -> tuple[str, str]:
    """Where the request names its session, or at least its user, and the name; two empty strings if nowhere. The body is not
    parsed: only members of these names are looked at."""
    for header in HEADERS:
        if value := rc.headers.get(header):
            return header, value
    metadata = _member(request, "metadata")
    for key in METADATA if isinstance(metadata, Mapping) else ():
        if value := _text(metadata.get(key)):
            return f"metadata.{key}", value
    for name in MEMBERS:
        if value := _text(_member(request, name)):
            return name, value
    return "", ""


def _member(request: Request, name: str) -> Any:
    start, end = request.members.get(name, (0, 0))
    try:
        return loads(request.body[start:end]) if 0 < end - start <= MAX_METADATA else None
    except (ValueError, RecursionError):
        return None  # the codec says what is wrong with it, if it matters


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else ""


def rendezvous(alike: Sequence[Deployment], key: bytes) -> list[Deployment]:
    """The deployments as this key prefers them: each gets its weight's part of all keys, and without the first the key goes to the
    second (weighted rendezvous hashing: the highest -weight / log(hash in 0 … 1))."""
    share = shared(alike)

    def preference(each: Deployment) -> tuple[float, int]:
        hashed = int.from_bytes(blake2b(each.id.encode() + b"\0" + key, digest_size=8).digest()) >> 12
        return weight(each, share) / -log((hashed + 0.5) / 2**52), hashed

    return sorted(alike, key=preference, reverse=True)
