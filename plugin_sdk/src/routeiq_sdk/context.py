"""`RequestContext` (rc) lives as long as one request; `PluginContext` (ctx) as long as the plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec import Struct

from .config import Secret
from .services import ServiceKey
from .stream import Cost, Error, UsageParts

if TYPE_CHECKING:
    from .decisions import Attempt, Choice, Plan, Principal
    from .request import Request
    from .resources import Deployment, Surface
    from .wire import Headers

T = TypeVar("T")


class PluginContext(Protocol):
    """Handed to `lifespan` and to the collect hooks."""

    name: str
    mode: str
    """development or production"""
    state_dir: Path
    """The plugin's own folder, mode 0700, created on first use."""
    config_path: Path | None
    kept: dict[str, Any]
    """Objects that outlive the instance: after a reload that makes a new one, it finds them here, in this worker."""
    deployments: Sequence[Deployment]
    """Those of the committed configuration; in the collect hooks after `register_providers`, those of the one being built."""

    def service(self, key: ServiceKey[T]) -> T:
        """Raises `GraphError` when the manifest does not name the key."""
        ...

    def optional(self, key: ServiceKey[T]) -> T | None: ...

    def announce(self, line: str) -> None:
        """A line for the start-up report, such as how to make a first request."""
        ...


class Outcome(Struct, frozen=True, kw_only=True):
    """How a request ended; what `on_complete` sees.

    `status`: complete, truncated, cancelled (the client left), error, denied. `http_status` is what the client saw, 0 if it
    left before. `first_token_s` and `duration_s` count from the arrival of the request.
    """

    status: str
    http_status: int = 0
    error: Error | None = None
    usage: UsageParts | None = None
    cost: Cost | None = None
    """None without a price book, and for a request that reached no provider."""
    finish: str | None = None
    model: str = ""
    deployment: Deployment | None = None
    attempts: tuple[Attempt, ...] = ()
    path: str = "none"
    """raw, events, forward, local or none"""
    duration_s: float = 0.0
    first_token_s: float | None = None
    bytes_out: int = 0
    dropped_events: int = 0
    losses: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()


class Transaction(Struct, frozen=True, kw_only=True):
    """A whole exchange as recorded: what `on_records` gets in batches. `truncated`: the recorder's byte cap cut it."""

    request_id: str
    started_time_s: float
    """Unix time."""
    format: str
    operation: str
    outcome: Outcome
    request: bytes
    upstream: tuple[bytes, ...]
    client: tuple[bytes, ...]
    truncated: bool = False


class RequestContext:
    """One request. Plugins keep what they must remember in `state[plugin name]`, never on themselves."""

    __slots__ = (
        "__weakref__", "attempts", "choices", "client", "client_credentials", "excluded", "fallbacks", "headers", "operation", "path",
        "plan", "principal", "query", "request", "request_id", "started_s", "state", "surface",
    )  # fmt: skip

    request_id: str
    surface: Surface
    operation: str
    path: str
    query: str
    headers: Headers
    """The client's headers without any credential."""
    client: tuple[str, int] | None
    started_s: float
    principal: Principal | None
    client_credentials: Mapping[str, Secret]
    """Credential headers that the authenticators did not consume: the client's own key for a provider."""
    request: Request | None
    plan: Plan | None
    choices: list[Choice]
    """How each model group's deployments were put in order: more than one after a `Model` decision."""
    excluded: dict[str, str]
    """Why deployments were taken out of the current choice, by id."""
    fallbacks: Sequence[str] | None
    """The model groups to fall back to, in order, where this request has its own; None: those of the configuration."""
    attempts: list[Attempt]
    state: dict[str, Any]

    def exclude(self, deployment: Deployment, reason: str) -> None:
        """For a `candidates` hook: say why it takes this deployment out."""
        self.excluded[deployment.id] = reason
