"""What each kind of error allows, and what it says about its deployment. Kinds are those of `routeiq_sdk.stream.ERROR_STATUS`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from routeiq_sdk import Failure


class Reach(Enum):
    """How far away another try may help."""

    SAME = "same"
    """The same deployment, after a while; then the others."""
    OTHER = "other"
    """Another deployment, then another model."""
    LARGER = "larger"
    """A model with a larger context."""
    NOWHERE = "nowhere"


REACH: Mapping[str, Reach] = {
    **dict.fromkeys(("timeout", "conflict", "rate_limit", "server", "bad_gateway", "overloaded", "over_capacity"), Reach.SAME),
    "gateway_timeout": Reach.SAME,
    **dict.fromkeys(("authentication", "permission", "billing", "not_found"), Reach.OTHER),
    "context_length": Reach.LARGER,
}
"""Every other kind is terminal: the request is wrong, refused by policy, or over."""

CREDENTIAL = frozenset(("authentication", "permission", "billing"))
"""What another credential may not have."""

FAULTS = frozenset((
    "timeout", "rate_limit", "server", "bad_gateway", "overloaded", "over_capacity", "gateway_timeout", "authentication", "permission",
    "billing", "not_found",
))  # fmt: skip
"""What speaks against a deployment. A request that it refused for the request's own sake shows that it is alive."""

ENDPOINT_FAULTS = frozenset(("server", "bad_gateway", "overloaded", "gateway_timeout"))
"""What speaks against everything at its address, whatever the model and the key."""

NEUTRAL = frozenset(("cancelled", "draining", "denied"))

CLASSES: Mapping[str, str] = {
    **dict.fromkeys(("invalid_request", "unprocessable", "too_large", "context_length"), "BadRequestError"),
    **dict.fromkeys(("authentication", "permission"), "AuthenticationError"),
    **dict.fromkeys(("timeout", "gateway_timeout"), "TimeoutError"),
    "rate_limit": "RateLimitError",
    "content_policy": "ContentPolicyViolationError",
    **dict.fromkeys(("server", "bad_gateway", "overloaded", "over_capacity"), "InternalServerError"),
}
"""Kind → the class of error in the names of LiteLLM's `retry_policy` and `allowed_fails_policy`."""


def is_silent(failure: Failure) -> bool:
    """Nothing came in time: no connection, no answer, no content. A 504 is an answer."""
    return failure.phase == "timeout" or (failure.phase == "connect" and failure.error.kind == "gateway_timeout")


def reach(failure: Failure, retries: int | None) -> Reach:
    """`retries`: what the operator allows for this class of error, None without a word on it."""
    error = failure.error
    found = REACH.get(error.kind, Reach.NOWHERE)
    if found is Reach.SAME and (is_silent(failure) or error.should_retry is False):
        return Reach.OTHER
    if found is Reach.NOWHERE and (retries or (error.should_retry and error.kind != "content_policy")):
        return Reach.SAME
    return found
