"""The kernel's side of a request context: what plugins see (`RequestContext`) plus the machinery that serves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from routeiq_sdk import RequestContext, RouteIQError, Secret, Surface
from routeiq_sdk.stream import Cost, Error, Event, UsageParts
from routeiq_sdk.wire import Asked, Codec, Encoder, Headers

from .watchdog import Watch

if TYPE_CHECKING:
    from ..runtime.graph import Bound, Graph
    from .egress import Egress
    from .forward import Forward
    from .ingress import Ingress
    from .rescue import Rescuer

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Batches = AsyncGenerator[Sequence[Event], None]

CREDENTIALS = frozenset({
    b"authorization", b"x-api-key", b"x-litellm-api-key", b"x-goog-api-key", b"api-key", b"cookie", b"proxy-authorization",
    b"x-admin-api-key",
})  # fmt: skip

NO_HEADERS = Headers(())


class Stopped(RouteIQError):
    """The request ends here with `error`; `status` is its outcome."""

    def __init__(self, error: Error, status: str = "error") -> None:
        super().__init__(error.message)
        self.error, self.status = error, status


class Broken(Stopped):
    """The provider failed behind the commit point. `phase` as in `UpstreamError`."""

    def __init__(self, error: Error, status: str = "error", phase: str = "body") -> None:
        super().__init__(error, status)
        self.phase = phase


class Rc(RequestContext):
    __slots__ = (
        "began_s", "bound", "bytes_out", "codec", "detail", "dropped", "egress", "encoder", "finish", "first_token_s", "forward", "gone",
        "graph", "hang_up", "http_status", "ingress", "kept", "losses", "meant", "method", "outcome_error", "outcome_status", "params",
        "priced", "record", "rescue", "route_taken", "said", "spent", "tries", "usage", "watch",
    )  # fmt: skip

    graph: Graph
    codec: Codec
    watch: Watch
    ingress: Ingress
    egress: Egress
    began_s: float
    """When the current attempt did."""
    bound: Bound | None
    usage: UsageParts | None
    first_token_s: float | None
    outcome_error: Error | None
    record: Any
    forward: Forward | None
    """What passes a request of kind "forward" or "socket" on."""
    params: Mapping[str, str]
    """The named parts of the surface's path."""
    meant: tuple[str, str] | None
    """Whose deployment the request was first meant for."""
    priced: tuple[UsageParts | None, Cost] | None
    """The last answer of the price book, and to what."""
    kept: list[Any] | None
    """What a stream has delivered: the provider's bytes (RAW), or events as the encoder got them. None: not kept, or too much."""
    rescue: Rescuer | None
    """How this attempt finishes an answer that broke off."""
    spent: list[Cost]
    """On attempts whose answers broke off."""
    tries: int
    """The number of the current or last attempt."""
    said: int
    """Tokens of the answer so far, roughly: for an estimate where the provider does not count."""

    def __init__(self, graph: Graph, surface: Surface, params: Mapping[str, str], scope: dict[str, Any], request_id: str) -> None:
        self.graph, self.surface, self.params, self.request_id = graph, surface, params, request_id
        self.codec = graph.codecs[surface.format]
        self.operation, self.method, self.path, self.client = surface.operation, scope["method"], scope["path"], scope.get("client")
        self.query = scope["query_string"].decode("latin-1")
        self.started_s = monotonic()
        self.principal = self.request = self.plan = self.bound = self.usage = None
        self.first_token_s = self.outcome_error = self.record = self.forward = self.priced = None
        self.kept = self.rescue = self.fallbacks = self.meant = None
        self.attempts, self.choices, self.spent, self.state, self.excluded = [], [], [], {}, {}
        self.client_credentials = {}
        self.headers = NO_HEADERS
        self.finish: str | None = None
        self.losses: tuple[str, ...] = ()
        self.dropped = self.bytes_out = self.http_status = self.said = self.tries = 0
        self.outcome_status = ""
        self.encoder: Encoder | None = None
        """What writes the stream, on the EVENTS path."""
        self.detail = ""
        """What the log may know of a failed attempt and the client may not."""
        self.route_taken = "none"
        self.gone = self.hang_up = False
        task = asyncio.current_task()
        assert task is not None
        self.watch = Watch(task)

    def keep_credentials(self, raw: list[tuple[bytes, bytes]], consumed: tuple[str, ...]) -> None:
        """The client's own provider credentials, apart from the other headers and without those meant for the gateway."""
        taken = {name.encode() for name in (*consumed, "cookie", "x-admin-api-key")}
        found = [(name, value) for name, value in raw if name in CREDENTIALS and name not in taken]
        self.client_credentials = {name.decode("latin-1"): Secret(value.decode("latin-1")) for name, value in found}

    def asked(self) -> Asked:
        path = self.path.removeprefix(self.graph.surfaces.base)
        return Asked(operation=self.operation, path=path, query=self.query, params=self.params, headers=self.headers)

    def leave(self) -> None:
        """The client is gone."""
        self.gone = True
        self.watch.fire("gone")
