"""What a request used and what that cost, where a price book and a token counter are enabled."""

from __future__ import annotations

from msgspec import structs
from routeiq_sdk.stream import Cost, UsageParts

from .context import Rc

CHARS_PER_TOKEN = 4


def usage_of(rc: Rc) -> UsageParts | None:
    """The provider's count; an estimate where it gave none, or where the client left before it came. None: nothing was used."""
    counter = rc.graph.counter
    known = rc.usage
    answered = rc.first_token_s is not None
    if rc.bound is None or rc.request is None or not answered or counter is None or rc.request.operation != "chat":
        return known
    if known is not None and known.output is not None and rc.outcome_status in ("", "complete"):
        return known
    known = known or UsageParts()
    if known.input is None:
        known = structs.replace(known, input=counter.count_request(rc.request, rc.bound.deployment)[0])
    return structs.replace(known, output=max(known.output or 0, rc.said), estimated=True)


def cost_of(rc: Rc, usage: UsageParts | None) -> Cost | None:
    book = rc.graph.book
    if book is None or rc.bound is None or usage is None:
        return None
    return book.cost(rc.bound.deployment, usage, operation=rc.operation)
