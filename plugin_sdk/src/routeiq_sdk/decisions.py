"""What hooks answer. `None` always means: no opinion."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from .resources import Deployment
from .stream import Error


class Principal(Struct, frozen=True, kw_only=True):
    """Who is asking. `consumed`: the header names that carried the credential for the gateway; they are never forwarded."""

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
    """Deployments in the order to try them. `reason` says how the order came about."""

    order: tuple[Deployment, ...]
    reason: str = ""


class Failure(Struct, frozen=True):
    """A failed attempt. `delivered`: text the client already has; "" before the commit point. `number` counts attempts from 1."""

    error: Error
    deployment: Deployment
    number: int
    phase: str
    delivered: str = ""


class Retry(Struct, frozen=True):
    """Try the same deployment again after `after_s` seconds."""

    after_s: float = 0.0


class Next(Struct, frozen=True):
    """Try the next deployment of the plan after `after_s` seconds."""

    after_s: float = 0.0


class Model(Struct, frozen=True):
    """Start over with another model group: authorize, candidates and route run again, inside the same budget."""

    name: str


class Fail(Struct, frozen=True):
    """Give the error to the client."""


class Attempt(Struct, frozen=True, kw_only=True):
    """One finished attempt, as `on_attempt` sees it. `outcome`: complete, truncated, cancelled, error, denied. Times in seconds."""

    number: int
    deployment: Deployment
    outcome: str
    error: Error | None = None
    first_token_s: float | None = None
    duration_s: float = 0.0
