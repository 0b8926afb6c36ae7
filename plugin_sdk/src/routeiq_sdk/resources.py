"""What plugins register: surfaces, providers, strategies, routes, health checks; and the deployment they all speak of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from .config import Secret

if TYPE_CHECKING:
    from .context import RequestContext
    from .decisions import Plan
    from .request import Request
    from .stream import Event, UsageParts
    from .wire import Headers


class Deployment(Struct, frozen=True, kw_only=True):
    """One entry of `model_list`. `group` is its `model_name`; `model` the name its provider knows.

    `defaults` are raw JSON values for request members the client did not send. `params` holds connection settings that only
    the provider understands (`api_version`, `organization`, …).
    """

    id: str
    group: str
    provider: str
    model: str
    api_base: str | None = None
    api_key: Secret | None = None
    timeout_s: float | None = None
    stream_timeout_s: float | None = None
    max_retries: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    weight: float | None = None
    order: int | None = None
    defaults: Mapping[str, bytes] = {}
    params: Mapping[str, Any] = {}
    info: Mapping[str, Any] = {}


class Surface(Struct, frozen=True, kw_only=True):
    """An endpoint of the gateway.

    `kind`: "generate" goes through a codec and the attempts; "forward" passes bytes both ways between the client and the
    deployment, through authentication, authorisation, limits and accounting; "socket" does so for a WebSocket; "local" is
    answered by `handler` after authentication (operation "models" needs no handler: the kernel answers it through the codec).

    `method` is "*" for any, and "WEBSOCKET" for kind "socket". `path` may hold `{name}` (one segment, or a part of one) and
    `{name:path}` (any rest). Exact paths are matched first, then patterns in the order of their literal length.
    `match(headers, query)` tells equal paths apart; one surface of a path has none and is the default.

    `model` says where a forwarded request names its model: "body" (the member `model` of JSON or of a multipart form), "query",
    "path" (the part `{model}`) or "none". One that names none goes to the deployment that made an id in it, else to one of the
    model in the header `x-routeiq-model`, else to the first that speaks the surface's format. `provider` admits only deployments
    of that provider. `upstream` is the path at the provider, with the same `{names}`; None means `path`.

    `owns` names the JSON members of answers that hold ids which only their deployment knows (`id`, `response.id` of an event),
    `refers` those of requests; the parts of the path are ids too. `usage` reads what a JSON answer, an event of a streamed one, or
    a message of a WebSocket says was used; None leaves that to the codec. `asks` reads what a JSON request itself says will be used.
    """

    method: str
    path: str
    kind: str
    operation: str
    format: str
    match: Callable[[Headers, str], bool] | None = None
    handler: Callable[[RequestContext], Awaitable[Reply]] | None = None
    model: str = "body"
    provider: str | None = None
    upstream: str | None = None
    owns: tuple[str, ...] = ()
    refers: tuple[str, ...] = ()
    usage: Callable[[bytes], UsageParts | None] | None = None
    asks: Callable[[bytes], UsageParts | None] | None = None


class Reply(Struct, frozen=True):
    """A whole answer of a local surface or of an admin route. `body` is JSON unless `headers` says otherwise."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Call(Struct, frozen=True, kw_only=True):
    """One attempt's request to a provider, ready to send. `before_upstream` may change `headers`; the body was authorised.

    `path` is relative to the deployment's base URL. `headers` are lower-case names and hold no credential: the provider adds it.
    """

    deployment: Deployment
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | AsyncIterator[bytes]
    """An iterator is sent as it comes, once: such a call cannot be repeated."""
    stream: bool
    query: str = ""
    method: str = "POST"
    connect_timeout_s: float = 10.0
    credentials: Mapping[str, Secret] = {}
    """The client's own provider credentials, by header; a provider uses them only where its deployment says so."""
    forwarded: bool = False
    """Passed on as it came: its query goes along but for what may be a key, and its headers win over the provider's defaults."""


class UpstreamResponse(Protocol):
    """An open answer. Raises `UpstreamError` when the connection breaks. `close()` is idempotent and never waits:
    it returns the connection when the body was read to its end and destroys it otherwise."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]

    async def chunk(self) -> bytes:
        """The next bytes of the body; b"" at its end."""
        ...

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises `UpstreamError` when it is larger."""
        ...

    def close(self) -> None: ...


class Upstream(Protocol):
    """A provider bound to one deployment: everything that does not depend on the request is prepared.

    `formats` are the wire formats that this deployment speaks, its default first: a client whose format is among them is served
    without conversion.
    """

    formats: Sequence[str]

    async def open(self, call: Call) -> UpstreamResponse: ...

    async def connect(self, call: Call) -> UpstreamSocket:
        """A WebSocket to the provider. Raises `UpstreamError`."""
        ...


class UpstreamSocket(Protocol):
    """`receive` gives text or bytes, None once the provider or `close` closed it. Raises `UpstreamError` when the connection
    breaks. `protocol` is the subprotocol that the provider chose."""

    protocol: str | None
    close_code: int | None

    async def receive(self) -> str | bytes | None: ...

    async def send(self, message: str | bytes) -> None: ...

    async def close(self, code: int = 1000) -> None: ...


class WireProvider(Protocol):
    """A provider that speaks wire formats."""

    name: str
    base_models: Sequence[str]
    """`fnmatch` patterns of model names that mean this provider when written without a prefix."""

    def bind(self, deployment: Deployment) -> Upstream:
        """Raises `ConfigError` when the deployment lacks something."""
        ...

    def forward_headers(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        """The client's headers that may go to this provider."""
        ...

    def return_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The provider's headers that may go to the client."""
        ...


class EventProvider(Protocol):
    """A provider without a wire: it makes events itself. Raises `UpstreamError`."""

    name: str
    base_models: Sequence[str]

    def generate(self, request: Request, deployment: Deployment) -> AsyncIterator[Event]: ...


Provider = WireProvider | EventProvider


class Strategy(Protocol):
    """Orders the deployments that match; registered by name for `router_settings.routing_strategy`. It is asked after the
    `route` hooks, and None leaves the order of the configuration."""

    name: str

    async def plan(self, candidates: Sequence[Deployment], request: Request, rc: RequestContext) -> Plan | None: ...


class Route(Struct, frozen=True, kw_only=True):
    """An HTTP route off the data path. `auth`: admin (`ADMIN_API_KEYS`), key (the authenticators), or open."""

    method: str
    path: str
    handler: Callable[[Any], Awaitable[Reply]]
    """Receives a `starlette.requests.Request`."""
    auth: str = "admin"


class Health(Struct, frozen=True):
    """`status`: healthy, degraded, or failing (which makes readiness 503)."""

    status: str = "healthy"
    detail: str = ""


class HealthCheck(Struct, frozen=True):
    name: str
    check: Callable[[], Awaitable[Health]]


class Panel(Struct, frozen=True):
    """A page of the dashboard."""

    name: str
    title: str
    path: str
