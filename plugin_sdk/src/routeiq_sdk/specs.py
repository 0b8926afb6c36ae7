"""The hooks, API 1.0. An implementation is a method of the plugin class marked `@hookimpl`; it names only the arguments it
needs and must be a coroutine function where the specification is one.

Kinds. collect: results are joined when the gateway is built. gate: the first `Deny` wins. first: the first answer that is not
None wins. transform: each implementation gets what the one before it returned, None means unchanged. notify: all run, off the
client's path. When the plugin itself fails, its failure mode decides: a closed gate denies, a closed first or transform is an
error, open ones are skipped; notify hooks are only counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from inspect import iscoroutinefunction, signature
from typing import Any

from msgspec import Struct

from .context import Outcome, PluginContext, RequestContext, Transaction
from .decisions import Attempt, Deny, Fail, Failure, Model, Next, Plan, Principal, Reject, Rescue, Retry
from .hooks import hookspec
from .request import Request
from .resources import Call, Deployment, HealthCheck, Panel, Provider, Route, Strategy, Surface
from .services import ServiceKey
from .stream import Block, Event
from .wire import Codec, Headers


class Specs:
    @hookspec
    def provide_services(self, ctx: PluginContext) -> Mapping[ServiceKey[Any], object]:  # type: ignore[empty-body]
        """collect: the objects for the keys in the manifest's `provides`. Connect in `lifespan`, not here."""

    @hookspec
    def register_formats(self, ctx: PluginContext) -> Iterable[Codec]:  # type: ignore[empty-body]
        """collect: wire formats."""

    @hookspec
    def register_surfaces(self, ctx: PluginContext) -> Iterable[Surface]:  # type: ignore[empty-body]
        """collect: endpoints."""

    @hookspec
    def register_providers(self, ctx: PluginContext) -> Iterable[Provider]:  # type: ignore[empty-body]
        """collect: providers, by the prefix they have in `model: prefix/name`."""

    @hookspec
    def register_strategies(self, ctx: PluginContext) -> Iterable[Strategy]:  # type: ignore[empty-body]
        """collect: routing strategies."""

    @hookspec
    def register_routes(self, ctx: PluginContext) -> Iterable[Route]:  # type: ignore[empty-body]
        """collect: HTTP routes off the data path (capability ROUTES, or ADMIN for `auth="admin"`)."""

    @hookspec
    def register_middleware(self, ctx: PluginContext) -> Iterable[Any]:  # type: ignore[empty-body]
        """collect: pure ASGI middleware, `app -> app`, outermost first (capability MIDDLEWARE)."""

    @hookspec
    def register_health(self, ctx: PluginContext) -> Iterable[HealthCheck]:  # type: ignore[empty-body]
        """collect: readiness checks."""

    @hookspec
    def register_panels(self, ctx: PluginContext) -> Iterable[Panel]:  # type: ignore[empty-body]
        """collect: pages of the dashboard."""

    @hookspec
    def lifespan(self, ctx: PluginContext) -> AbstractAsyncContextManager[None]:  # type: ignore[empty-body]
        """An async context manager: connect on entry, disconnect on exit. Entered in order, left in reverse."""

    @hookspec
    async def authenticate(self, headers: Headers, rc: RequestContext) -> Principal | Reject | None:
        """first: who is asking? The body is not read yet. All None is 401. `headers` includes credentials."""

    @hookspec
    async def on_request(self, request: Request, rc: RequestContext) -> Request | None:
        """transform: the parsed request; answer `request.replace(...)` to change it. Of one that is passed on only the model may
        change, and `ext`, the other members of its JSON."""

    @hookspec
    async def authorize(self, request: Request, rc: RequestContext) -> Deny | None:
        """gate: may this caller do this? Runs again when a fallback changes the model."""

    @hookspec
    async def candidates(self, candidates: Sequence[Deployment], request: Request, rc: RequestContext) -> Sequence[Deployment] | None:
        """transform: filter or rank the deployments that match the model."""

    @hookspec
    async def route(self, candidates: Sequence[Deployment], request: Request, rc: RequestContext) -> Plan | None:
        """first: the order in which deployments are tried."""

    @hookspec
    async def before_upstream(self, call: Call, rc: RequestContext) -> Call | None:
        """transform: each attempt's call. Only `headers` and `query` may change; empty for a provider that makes events itself."""

    @hookspec
    async def on_upstream_error(self, failure: Failure, rc: RequestContext) -> Retry | Next | Model | Rescue | Fail | None:
        """first: what to do about a failed attempt. All None fails."""

    @hookspec
    def on_attempt(self, attempt: Attempt, rc: RequestContext) -> None:
        """notify: an attempt ended; before anything is decided about its failure. On the client's path: bookkeeping only."""

    @hookspec
    def response_headers(self, headers: tuple[tuple[str, str], ...], rc: RequestContext) -> tuple[tuple[str, str], ...] | None:
        """transform: the gateway's own response headers, when the status line is sent."""

    @hookspec
    def on_stream_event(self, event: Event, rc: RequestContext) -> Event | Sequence[Event] | Deny | None:
        """transform: every event, of whole answers too. `()` drops it. Implementing it makes answers be parsed."""

    @hookspec
    async def on_block(self, block: Block, rc: RequestContext) -> Block | Sequence[Block] | Deny | None:
        """transform: a whole block. Its stream waits unless the manifest's `hold` is NOTHING."""

    @hookspec
    async def on_response(self, response: Response, rc: RequestContext) -> Response | Deny | None:
        """transform: the whole answer; of streams only with `hold` ANSWER."""

    @hookspec
    async def on_complete(self, outcome: Outcome, rc: RequestContext) -> None:
        """notify: exactly once per matched request, refused, cancelled and failed ones too."""

    @hookspec
    async def on_records(self, records: Sequence[Transaction]) -> None:
        """notify: batches of recorded transactions."""

    @hookspec
    async def on_config_changed(self, config: Any) -> bool | None:
        """Reload: True says the new config was applied in place and the instance stays."""


class Response(Struct, frozen=True, kw_only=True):
    """A whole answer of one choice: what `on_response` sees and may replace."""

    blocks: tuple[Block, ...]
    stop: str | None = None
    choice: int = 0


class Hook(Struct, frozen=True):
    name: str
    kind: str
    is_async: bool
    args: tuple[str, ...]


KINDS = ("collect", "gate", "first", "transform", "notify")


def _kind(function: Any) -> str:
    word = (function.__doc__ or "").split(":", 1)[0]
    return word if word in KINDS else "special"


HOOKS: Mapping[str, Hook] = {
    name: Hook(name, _kind(function), iscoroutinefunction(function), tuple(signature(function).parameters)[1:])
    for name, function in vars(Specs).items()
    if not name.startswith("_")
}
"""Every hook by name. `lifespan` and `on_config_changed` are of kind "special"."""
