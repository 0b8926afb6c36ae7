"""What hooks answer. `None` always means: no opinion."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Literal

from msgspec import Struct

from .resources import Deployment
from .stream import Cost, Error, UsageParts


class Principal(Struct, frozen=True, kw_only=True):
    """Who is asking. `consumed`: the header names that carried the credential for the gateway; they are never forwarded. Of kind
    "operator" is who has a request explained: nothing is sent."""

    id: str
    kind: str = "key"
    consumed: tuple[str, ...] = ()
    attributes: dict[str, Any] = {}


class Reject(Struct, frozen=True):
    """From `authenticate`: these credentials are wrong (401), and no other authenticator is asked."""

    message: str = "Invalid credentials."
    code: str = "invalid_api_key"


class Deny(Struct, frozen=True):
    """Refuse. `code` names the rule and `message` reaches the client; before the first byte the status is `status`."""

    code: str
    message: str = "The request was denied."
    status: int = 403
    retry_after_s: float | None = None


class Plan(Struct, frozen=True):
    """Deployments in the order to try them. `reason` says how the order came about, `scores` what each deployment got (by id).

    With `hedge_after_s` the next deployment is asked too when one has no content after so many seconds; the first to have some wins
    and the other is closed.
    """

    order: tuple[Deployment, ...]
    reason: str = ""
    scores: Mapping[str, float] = {}
    hedge_after_s: float | None = None


class Choice(Struct, frozen=True, kw_only=True):
    """How the deployments for a model were put in order. Deployments are named by id; scores are the strategy's own."""

    model: str
    candidates: tuple[str, ...]
    excluded: Mapping[str, str] = {}
    """Why a candidate was taken out."""
    order: tuple[str, ...] = ()
    reason: str = ""
    scores: Mapping[str, float] = {}
    decided_by: str = ""
    """The plugin whose `route` hook, or the strategy that made the plan; "" for the order of the configuration."""


class Failure(Struct, frozen=True, kw_only=True):
    """A failed attempt. `number` counts attempts from 1, `retried` those on this deployment, this one included."""

    error: Error
    deployment: Deployment
    number: int
    phase: str
    """connect, send, headers, body, timeout; or plan: no deployment is left to ask, `deployment` being one of the model's, and only
    `Model` helps"""
    retried: int = 1
    left_s: float = inf
    """The next attempt must begin within so many seconds, else the request ends with this error."""
    upcoming: Deployment | None = None
    """What `Next` would try; None at the end of the plan."""
    committed: bool = False
    """The client has a part of the answer: only `Rescue` helps."""
    delivered: str = ""
    """The text that the client has."""
    in_text: bool = True
    """Whether all that the client has is text, perhaps behind finished reasoning, so that another answer can go on from it."""
    rescue: str | None = None
    """The mode of the `Rescue` that failed here; None for an attempt of its own."""


class Retry(Struct, frozen=True):
    """Try the same deployment again after `after_s` seconds."""

    after_s: float = 0.0


class Next(Struct, frozen=True):
    """Try the next deployment of the plan after `after_s` seconds."""

    after_s: float = 0.0


class Model(Struct, frozen=True):
    """Start over with another model group: authorize, candidates and route run again, inside the same budget."""

    name: str
    after_s: float = 0.0


class Rescue(Struct, frozen=True):
    """Finish an answer that broke off (`Failure.committed`): on the next deployment, or the same where it is the last, or on `model`.

    "continue": it is given what was delivered as the beginning of its answer (prefill) and goes on from there; "restart": it answers
    anew, and its answer must begin with what was delivered, else the client gets the error.
    """

    mode: Literal["continue", "restart"]
    after_s: float = 0.0
    model: str | None = None


class Fail(Struct, frozen=True):
    """Give the error to the client."""


class Attempt(Struct, frozen=True, kw_only=True):
    """One finished attempt, as `on_attempt` sees it. `outcome`: complete, truncated, cancelled, error, denied, or lost for one whose
    hedge was faster. Times in seconds; `started_s` counts from the arrival of the request."""

    number: int
    deployment: Deployment
    outcome: str
    error: Error | None = None
    started_s: float = 0.0
    first_token_s: float | None = None
    duration_s: float = 0.0
    usage: UsageParts | None = None
    cost: Cost | None = None
