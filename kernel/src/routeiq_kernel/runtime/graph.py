"""One immutable configuration of the gateway, with everything that serves it. A request holds one for its life."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from msgspec import Struct, structs
from routeiq_sdk import ClientError, ConfigError, Deployment, HealthCheck, Route
from routeiq_sdk.resources import EventProvider, Provider, Upstream, WireProvider
from routeiq_sdk.services import AttemptPolicy, ModelCatalog, PriceBook, StateStore, TokenCounter
from routeiq_sdk.wire import Codec, ModelEntry

from ..pipeline.watchdog import Watch, Watchdog
from .chain import Chains
from .peers import Exchange
from .surfaces import Surfaces

if TYPE_CHECKING:
    from ..config.kernel import Settings
    from ..config.load import Document
    from ..pipeline.context import Rc
    from ..pipeline.recorder import Recorder
    from .running import Running


class Bound(Struct, frozen=True):
    """A deployment with its provider. A wire provider has `upstream` and `codec`, an event provider neither. `spoken` are the
    codecs of all formats that the deployment speaks."""

    deployment: Deployment
    provider: Provider
    upstream: Upstream | None = None
    codec: Codec | None = None
    spoken: tuple[Codec, ...] = ()

    def speaking(self, codec: Codec) -> Bound:
        """With the client's own format where the deployment speaks it."""
        return structs.replace(self, codec=codec) if codec is not self.codec and codec in self.spoken else self

    @property
    def wire(self) -> WireProvider:
        return self.provider  # type: ignore[return-value]

    @property
    def events(self) -> EventProvider:
        return self.provider  # type: ignore[return-value]


def home(deployment: Deployment) -> tuple[str, str]:
    """Whose it is: a client's own credential for one is no business of another."""
    return deployment.provider, deployment.api_base or ""


def account(bound: Bound) -> tuple[str, ...]:
    """Deployments of one account know the same files, batches and stored answers."""
    deployment = bound.deployment
    key = deployment.api_key.reveal() if deployment.api_key else ""
    return (*home(deployment), key)


def no_model(name: str) -> ClientError:
    message = f"The model {name[:200]!r} does not exist or you do not have access to it."
    return ClientError(message, kind="not_found", param="model", code="model_not_found")


class Models:
    """Model names of the configuration → deployments; exact names and aliases first, then the most specific wildcard."""

    def __init__(self, bound: Sequence[Bound], aliases: Mapping[str, Any]) -> None:
        self.by_id = {each.deployment.id: each for each in bound}
        self.accounts = len({account(each) for each in bound if each.upstream is not None})
        self._exact: dict[str, tuple[Bound, ...]] = {}
        wild: dict[str, list[Bound]] = {}
        for each in bound:
            group = each.deployment.group
            if "*" in group:
                wild.setdefault(group, []).append(each)
            else:
                self._exact[group] = (*self._exact.get(group, ()), each)
        ranked = sorted(wild.items(), key=lambda item: (-len(item[0].replace("*", "")), item[0]))
        self._wild = [(name.split("*"), tuple(found)) for name, found in ranked]
        shown = dict.fromkeys(each.deployment.group for each in bound)
        for alias, meant in aliases.items():
            model, is_hidden = (meant.get("model"), meant.get("hidden")) if isinstance(meant, Mapping) else (meant, False)
            found = self.find(model) if isinstance(model, str) else ()
            if not found:
                raise ConfigError(f"router_settings.model_group_alias: {alias!r} stands for {model!r}, which is no model of model_list")
            self._exact[alias] = found
            shown |= {} if is_hidden else {alias: None}
        self.names = tuple(shown)

    def find(self, model: str) -> tuple[Bound, ...]:
        found = self._exact.get(model)
        if found:
            return found
        for pieces, bound in self._wild:
            captured = matched(pieces, model)
            if captured is not None:
                filled = [_filled(each, captured) for each in bound]
                return () if any(OUTSIDE.search(each.deployment.model) for each in filled) else tuple(filled)
        return ()


OUTSIDE = re.compile(r"(^|/)\.{1,2}(;[^/]*)?(/|$)|[\\\x00-\x1f\x7f?#%]")
"""What a model's name that a client chose must not hold: some providers have it in the path of their URL."""


def matched(pieces: Sequence[str], model: str) -> list[str] | None:
    """What each `*` between the pieces stands for, or None. Linear in the model's name, which a client chooses."""
    head, *middle, tail = pieces
    if not (model.startswith(head) and model.endswith(tail) and len(model) >= len(head) + len(tail)):
        return None
    at, captured = len(model) - len(tail), []
    for piece in reversed(middle):
        found = model.rfind(piece, len(head), at)
        if found < 0:
            return None
        captured.append(model[found + len(piece) : at])
        at = found
    captured.append(model[len(head) : at])
    return captured[::-1]


def _filled(bound: Bound, captured: Sequence[str]) -> Bound:
    """`*` in the deployment's own model name becomes what the wildcard matched."""
    model = bound.deployment.model
    for text in captured:
        model = model.replace("*", text, 1)
    return structs.replace(bound, deployment=structs.replace(bound.deployment, model=model))


class Live:
    """What runs under a graph: its requests, the work they left behind, and what the process has one of."""

    __slots__ = ("_idle", "asides", "draining", "exchange", "recorder", "requests", "tasks", "watchdog")

    def __init__(self, watchdog: Watchdog | None = None, exchange: Exchange | None = None) -> None:
        self.watchdog, self.exchange = watchdog or Watchdog(), exchange or Exchange()
        self.requests: set[Rc] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.asides: set[Watch] = set()
        """Of notify hooks that run."""
        self.recorder: Recorder | None = None
        self.draining = False
        self._idle: asyncio.Event | None = None

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Work off the client's path. The graph is not closed before it ended."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.done)

    def done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self.settle()

    def settle(self) -> None:
        if self._idle is not None and not self.requests and not self.tasks:
            self._idle.set()

    async def idle(self) -> None:
        """Returns when no request and no task is left."""
        while self.requests or self.tasks:
            if self._idle is None or self._idle.is_set():
                self._idle = asyncio.Event()  # one for all who wait
            await self._idle.wait()


@frozen(eq=False)
class Graph:
    document: Document
    settings: Settings
    hash: str
    plugins: tuple[Running, ...]
    chains: Chains
    codecs: Mapping[str, Codec]
    providers: Mapping[str, Provider]
    surfaces: Surfaces
    models: Models
    routes: tuple[Route, ...] = ()
    checks: tuple[HealthCheck, ...] = ()
    middleware: tuple[Any, ...] = ()
    announcements: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    edges: tuple[Any, ...] = ()
    why: Mapping[str, tuple[str, ...]] = field(factory=dict)
    """What forces the EVENTS path: "stream" and "whole" → plugin.hook."""
    live: Live = field(kw_only=True)
    book: PriceBook | None = None
    catalog: ModelCatalog | None = None
    counter: TokenCounter | None = None
    store: StateStore | None = None
    attempt_policy: AttemptPolicy | None = None

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        return tuple(bound.deployment for bound in self.models.by_id.values())

    def entries(self, only: str | None = None) -> list[ModelEntry]:
        """The model names, or one of them, with the limits that the catalogue knows. Raises `ClientError` for one that is none."""
        if only is not None and not self.models.find(only):
            raise no_model(only)
        return [self._entry(name) for name in (self.models.names if only is None else (only,))]

    def _entry(self, name: str) -> ModelEntry:
        found = self.models.find(name)
        card = self.catalog.card(found[0].deployment) if self.catalog and found else None
        if card is None:
            return ModelEntry(id=name)
        return ModelEntry(id=name, max_input_tokens=card.max_input_tokens, max_output_tokens=card.max_output_tokens)

    def path_header(self, taken: str) -> bytes:
        forced = self.why["stream"] or self.why["whole"]
        return (taken + (";by=" + ",".join(forced) if taken == "events" and forced else "")).encode()

    async def close(self) -> list[str]:
        """Leave the lifespans in reverse order; returns what went wrong."""
        problems = [await running.release() for running in reversed(self.plugins)]
        return [problem for problem in problems if problem]


def unique(things: Sequence[Any], what: str, owner: Mapping[int, str]) -> dict[str, Any]:
    """By `name`; two with one name are an error that names both plugins."""
    out: dict[str, Any] = {}
    for thing in things:
        other = out.setdefault(thing.name, thing)
        if other is not thing:
            raise ConfigError(f"{what} {thing.name!r} is registered by both {owner[id(other)]} and {owner[id(thing)]}: disable one of them")
    return out
