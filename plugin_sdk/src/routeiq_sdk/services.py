"""Services: what one plugin provides for others, by interface. A plugin names the keys in its manifest
(`provides`, `requires`, `optional`) and gets the object with `ctx.service(KEY)` inside `lifespan`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from msgspec import Struct

from .resources import Deployment, UpstreamResponse, UpstreamSocket
from .stream import Cost, Error, UsageParts

if TYPE_CHECKING:
    from .context import RequestContext
    from .request import Request

T = TypeVar("T")


class ServiceKey(Generic[T]):
    """`major` changes when the interface breaks; provider and user must agree on it."""

    __slots__ = ("major", "name")

    def __init__(self, name: str, major: int = 1) -> None:
        self.name, self.major = name, major

    def __repr__(self) -> str:
        return f"{self.name}/{self.major}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServiceKey) and (self.name, self.major) == (other.name, other.major)

    def __hash__(self) -> int:
        return hash((self.name, self.major))


class HttpClients(Protocol):
    """Everything that dials out goes through here: pools, proxies, CA bundles and egress rules have one place."""

    async def open(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | AsyncIterator[bytes] | None = None,
        *,
        connect_timeout_s: float = 10.0,
    ) -> UpstreamResponse:
        """Send a request and wait for the answer's headers. Redirects are not followed and the body is not decompressed.
        Raises `UpstreamError` of phase connect, send or headers. Cancelling it closes the connection."""
        ...

    async def connect(
        self, url: str, headers: Sequence[tuple[str, str]], *, protocols: Sequence[str] = (), connect_timeout_s: float = 10.0
    ) -> UpstreamSocket:
        """Open a WebSocket (`ws` or `wss`). Raises `UpstreamError` of phase connect or headers."""
        ...


class Lease(Protocol):
    async def renew(self) -> bool: ...

    async def release(self) -> None: ...


class StateStore(Protocol):
    """Shared counters and values. Keys are str, values bytes; `ttl_s` None never expires. Every operation is atomic. One that the
    store cannot do (its server is away, it is full) raises a `RouteIQError` within 2 s: go on without it, or refuse.
    `scope` is "worker" or "gateway": how far the state reaches."""

    scope: str

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None: ...

    async def compare_and_set(self, key: str, old: bytes | None, new: bytes | None, ttl_s: float | None = None) -> bool:
        """Set `new` (None deletes) if the value is `old` (None: absent)."""
        ...

    async def increment(self, key: str, by: int = 1, ttl_s: float | None = None) -> int:
        """Add to a counter, 0 if absent, and return it. `ttl_s` counts from the counter's creation. Raises `ValueError` for a value
        that is no number."""
        ...

    async def delete(self, key: str) -> bool: ...

    async def lease(self, key: str, holder: str, ttl_s: float) -> Lease | None:
        """Exclusive hold on `key`, or None when somebody else has it."""
        ...

    async def publish(self, channel: str, message: bytes) -> None: ...

    def subscribe(self, channel: str) -> AsyncIterator[bytes]:
        """Messages published after the subscription; slow readers lose the oldest beyond 1,000. A server that was away costs those
        of the time, and the iterator goes on."""
        ...


class Clock(Protocol):
    """`monotonic` for durations, `time` for the wall; fakes in tests, recorded values in replays."""

    def monotonic(self) -> float: ...

    def time(self) -> float: ...


class Peers(Protocol):
    """The same plugin in all workers of this gateway on this machine; a topic is the plugin's own. Values are what JSON can say, at
    most 64 KiB as such; the call raises for others (`TypeError`, `ValueError`, `RecursionError`). A worker is reached while it serves,
    and answers with the handlers of its committed graph: not yet in the `lifespan` that registers them. A worker that does not keep
    up with what it is sent loses some of it; the log says so."""

    count: int
    """Workers, as configured."""

    def answer(self, topic: str, handler: Callable[[Any], Any]) -> None:
        """Called in `lifespan`. The handler gets a value and returns one, at once: nothing else runs meanwhile. If it fails there is
        no answer, and the log says so."""
        ...

    async def ask(self, topic: str, value: Any = None) -> list[Any]:
        """The answers of all workers, this one's first. Those that have no handler, or do not answer within 2 s, are missing."""
        ...

    def tell(self, topic: str, value: Any = None) -> None:
        """To the handlers of all other workers. Never waits; what one worker tells arrives in order."""
        ...


class ModelCaller(Protocol):
    """Calls through the gateway's own pipeline, in process: probes, judges, count calls. Each is authorised, routed, recorded and
    billed like a client's request, as that of `Principal(id="gateway:<plugin>", kind="service")`. It carries no credential, takes
    a place of `max_concurrent_requests`, and a drain waits for it."""

    async def call(
        self, body: Mapping[str, Any], *, path: str = "/v1/chat/completions", deployment: str | None = None, once: bool = False,
        timeout_s: float = 60.0,
    ) -> tuple[int, bytes]:  # fmt: skip
        """POST `body` to the endpoint `path`: the status and the whole answer; errors are answers too, in the endpoint's format.

        `once`: one attempt, without retry or fallback. `deployment` is the id of the one to ask, even while it rests; that implies
        `once`. An attempt that is not over after `timeout_s` has failed, and the answer is a 504.

        It waits until the plugin's graph is committed: not to be awaited by `lifespan` before its `yield`, but by a task of its own.
        Raises `ClientError` where no endpoint of that path asks a provider, and for an answer beyond `limits.max_response_bytes`."""
        ...


HTTP_CLIENTS: ServiceKey[HttpClients] = ServiceKey("http_clients")
STATE_STORE: ServiceKey[StateStore] = ServiceKey("state_store")


class PriceBook(Protocol):
    def cost(self, deployment: Deployment, usage: UsageParts | None, *, operation: str = "chat", tier: str | None = None) -> Cost:
        """Exact decimal arithmetic; an unknown price gives `Cost.usd` None. Never raises."""
        ...


class ModelCard(Struct, frozen=True, kw_only=True):
    """`abilities`: tools, vision, audio_input, pdf_input, reasoning, adaptive_thinking (takes no thinking budget), sampling (takes
    temperature, top_p, top_k), response_schema, prompt_caching, system_role, developer_role, audio_output, image_output, web_search."""

    id: str
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    abilities: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    """Abilities that the model is known not to have; one in neither set is unknown."""
    owned_by: str = ""


class ModelCatalog(Protocol):
    def card(self, deployment: Deployment) -> ModelCard | None:
        """`deployment.info` (LiteLLM's `model_info`) overrides what the shipped data say. None for an unknown model."""
        ...


class TokenCounter(Protocol):
    def count(self, text: str, deployment: Deployment) -> tuple[int, bool]:
        """Tokens, and whether that is an estimate (the model's own tokenizer is not at hand). Works offline."""
        ...

    def count_request(self, request: Request, deployment: Deployment) -> tuple[int, bool]: ...


class DeploymentState(Struct, frozen=True, kw_only=True):
    """`state`: healthy, cooling (gets no requests for `left_s` more seconds) or probing (gets one). `error_rate` is that of the last
    minute, from 0 to 1; `failures` those in a row."""

    deployment: Deployment
    state: str = "healthy"
    left_s: float | None = None
    failures: int = 0
    error_rate: float = 0.0
    last_error: Error | None = None
    last_error_time_s: float | None = None
    """Unix time."""


class DeploymentHealth(Protocol):
    def status(self) -> Sequence[DeploymentState]: ...


class StreamTerms(Struct, frozen=True, kw_only=True):
    """For one attempt at a streamed answer. `first_content_s`: how long it may take to its first content (reasoning counts); None:
    as the configuration says. `buffer`: hold the answer back until it is whole, so that every failure can be retried."""

    first_content_s: float | None = None
    buffer: bool = False


class AttemptPolicy(Protocol):
    def stream_terms(self, deployment: Deployment, rc: RequestContext) -> StreamTerms | None:
        """Asked before each attempt at a streamed answer. Must not wait and must not fail."""
        ...

    def hedge_after_s(self, model: str, deployments: Sequence[Deployment]) -> float | None:
        """Asked for each plan that names no delay of its own; as `Plan.hedge_after_s`."""
        ...


class Agents(Protocol):
    def agent(self, rc: RequestContext) -> str | None:
        """The type of agent that sent the request (`claude-code`, or what it calls itself); None where nothing tells. The client's
        own word."""
        ...


ATTEMPT_POLICY: ServiceKey[AttemptPolicy] = ServiceKey("attempt_policy")
AGENTS: ServiceKey[Agents] = ServiceKey("agents")
DEPLOYMENT_HEALTH: ServiceKey[DeploymentHealth] = ServiceKey("deployment_health")
PRICE_BOOK: ServiceKey[PriceBook] = ServiceKey("price_book")
MODEL_CATALOG: ServiceKey[ModelCatalog] = ServiceKey("model_catalog")
TOKEN_COUNTER: ServiceKey[TokenCounter] = ServiceKey("token_counter")
CLOCK: ServiceKey[Clock] = ServiceKey("clock")
PEERS: ServiceKey[Peers] = ServiceKey("peers")
MODEL_CALLER: ServiceKey[ModelCaller] = ServiceKey("model_caller")
"""This, the clock and the peers are always there: the kernel provides them."""
