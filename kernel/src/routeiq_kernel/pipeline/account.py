"""What a request used and what that cost, where a price book and a token counter are enabled.

The provider's own count is taken where there is one. Else the counter counts the prompt, in a thread because a long one takes
a while, and what the client got is estimated by its length.
"""

from __future__ import annotations

import asyncio

from msgspec import structs
from routeiq_sdk.stream import Cost, UsageParts

from .context import Rc

CHARS_PER_TOKEN = 4
LOOKS = frozenset(("GET", "HEAD", "DELETE"))
"""What they return may say what was used when it was made; that was paid for then."""
SPENDS = frozenset((
    "chat", "embeddings", "image_generation", "image_edit", "image_variation", "speech", "transcription", "translation", "moderation",
    "rerank", "video", "responses_compact", "realtime", "pass_through",
))  # fmt: skip
"""Operations whose cost is unknown, and not nothing, when their usage is."""


async def count(rc: Rc) -> None:
    """Fill in what the provider did not count, so that `usage_of` need not."""
    if must_count(rc):
        rc.usage = await asyncio.to_thread(usage_of, rc)


def must_count(rc: Rc) -> bool:
    return _estimates(rc) and (rc.usage is None or rc.usage.input is None)


def usage_of(rc: Rc) -> UsageParts | None:
    """The provider's count; an estimate where it gave none, or where the answer ended before it came. None: nothing was used."""
    if rc.method in LOOKS:
        return None
    known = rc.usage
    if not _estimates(rc):
        return known
    assert rc.bound is not None and rc.request is not None and rc.graph.counter is not None
    known = known or UsageParts()
    if known.input is None:
        known = structs.replace(known, input=rc.graph.counter.count_request(rc.request, rc.bound.deployment)[0])
    said = max(known.output or 0, rc.said - (known.reasoning or 0))
    return structs.replace(known, output=said, estimated=True)


def _estimates(rc: Rc) -> bool:
    if rc.usage is not None and rc.usage.output is not None and rc.outcome_status in ("", "complete"):
        return False
    if rc.bound is None or rc.request is None or rc.graph.counter is None or rc.request.operation != "chat" or rc.forward is not None:
        return False
    # a provider that refused or broke down charges nothing; one that was working when the client left, or had said something, does
    return rc.first_token_s is not None or rc.said > 0 or bool(rc.attempts and rc.attempts[-1].outcome == "cancelled")


def cost_of(rc: Rc, usage: UsageParts | None) -> Cost | None:
    """None: there is no price book, or nothing was asked for that costs something."""
    book = rc.graph.book
    if book is None or rc.bound is None or rc.method in LOOKS:
        return None
    if usage is None and (rc.first_token_s is None or rc.operation not in SPENDS):
        return None
    if rc.operation == "pass_through":
        return Cost(missing=("model",), source="whatever model the provider took")
    if rc.priced is None or rc.priced[0] is not usage:
        rc.priced = usage, book.cost(rc.bound.deployment, usage, operation=rc.operation, tier=_tier(rc))
    return rc.priced[1]


def bill(rc: Rc) -> tuple[UsageParts | None, Cost | None]:
    """Of the whole request: the usage of the answer that the client has, joined or not, and the cost of all attempts."""
    usage = usage_of(rc)
    cost = cost_of(rc, usage)
    if rc.rescue is not None:
        known = (each.usage for each in reversed(rc.attempts) if each.usage is not None)
        usage = rc.rescue.usage(usage) if usage is not None else next(known, None)
    for spent in rc.spent:
        cost = spent if cost is None else _sum(cost, spent)
    return usage, cost


def _sum(one: Cost, other: Cost) -> Cost:
    usd = None if one.usd is None or other.usd is None else one.usd + other.usd
    source = one.source if one.source == other.source else ", ".join(filter(None, (one.source, other.source)))
    return structs.replace(one, usd=usd, estimated=True, missing=tuple({*one.missing, *other.missing}), source=source)


def _tier(rc: Rc) -> str | None:
    """The service tier that the provider was asked for. Only that member of a body that nobody parsed is looked at."""
    request = rc.request
    assert rc.bound is not None
    if request is None or (rc.losses and any(loss.startswith("service_tier;") for loss in rc.losses)):
        return None
    if request.edited:
        return request.content.service_tier
    span = request.members.get("service_tier") or request.members.get("serviceTier")
    raw = request.body[slice(*span)] if span else rc.bound.deployment.defaults.get("service_tier", b"")
    return raw[1:-1].decode("ascii", "replace") if raw[:1] == b'"' and len(raw) < 64 else None
