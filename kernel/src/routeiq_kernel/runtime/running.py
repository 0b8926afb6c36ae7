"""A plugin that runs: its instance, its cells, and the task that holds its lifespan. Reload shares it between graphs, so it
counts its holders and stops with the last."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from routeiq_sdk import CLOCK, ConfigError, Deployment, GraphError, Manifest, ServiceKey
from routeiq_sdk.services import MODEL_CALLER, PEERS

from .caller import Caller
from .meter import Cell
from .peers import Exchange, Peers

T = TypeVar("T")
STOP_S = 10.0
log = logging.getLogger("routeiq.plugins")


class Ctx:
    """`PluginContext` for one plugin. `deployments` follows the graph that was committed last."""

    def __init__(self, manifest: Manifest, mode: str, state_dir: Path, config_path: Path | None, exchange: Exchange) -> None:
        self.name, self.mode, self.config_path = manifest.name, mode, config_path
        self._manifest, self._state_dir = manifest, state_dir
        self.deployments: Sequence[Deployment] = ()
        self.services: Mapping[ServiceKey[Any], Any] = {}
        self.announced: list[str] = []
        self.kept: dict[str, Any] = {}
        self.peers, self.caller = Peers(manifest, exchange), Caller(manifest.name)
        self._builtin: Mapping[ServiceKey[Any], Any] = {CLOCK: time, PEERS: self.peers, MODEL_CALLER: self.caller}

    @property
    def state_dir(self) -> Path:
        folder = self._state_dir / self.name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def service(self, key: ServiceKey[T]) -> T:
        found = self.optional(key)
        if found is None:
            raise GraphError(f"plugin {self.name}: no enabled plugin provides {key}")
        return found

    def optional(self, key: ServiceKey[T]) -> T | None:
        if key in self._builtin:
            return self._builtin[key]  # type: ignore[no-any-return]
        if key not in (*self._manifest.requires, *self._manifest.optional):
            raise GraphError(f"plugin {self.name} asks for {key}: name it in `requires` or `optional` of its manifest")
        return self.services.get(key)

    def announce(self, line: str) -> None:
        self.announced.append(line)


class Running:
    """`cells` by hook; `provided` what other plugins get. `holders` counts the graphs that use it."""

    def __init__(self, manifest: Manifest, found: Any, instance: object, config: object, cells: Mapping[str, Cell], ctx: Ctx) -> None:
        self.manifest, self.found, self.instance, self.config, self.cells, self.ctx = manifest, found, instance, config, cells, ctx
        self.provided: dict[ServiceKey[Any], Any] = {}
        self.config_before: object | None = None
        """While a reload that changed the config in place is not committed: what it was."""
        self.holders = 0
        self.dead = ""
        """Why the plugin no longer works, once its lifespan has ended by itself."""
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.manifest.name

    async def start(self, timeout_s: float = 30.0) -> None:
        """Enter the lifespan. Raises `ConfigError` or `GraphError` that names the plugin."""
        lifespan = self.cells.get("lifespan")
        if lifespan is None:
            return
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.get_running_loop().create_task(self._live(lifespan, ready))
        done, _ = await asyncio.wait((ready, self._task), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if ready in done:
            self._task.add_done_callback(self._ended)
            return
        if not done:
            self._task.cancel()
            raise GraphError(f"plugin {self.name}: lifespan did not come up within {timeout_s:g} s")
        error = asyncio.CancelledError("it was cancelled") if self._task.cancelled() else self._task.exception()
        self._task = None
        if isinstance(error, ConfigError | GraphError):
            raise error
        what = f"{type(error).__name__}: {error}" if error else "ended before it was entered"
        raise GraphError(f"plugin {self.name}: lifespan failed: {what}") from error

    async def _live(self, lifespan: Cell, ready: asyncio.Future[None]) -> None:
        async with lifespan.call(self.ctx):
            ready.set_result(None)
            await self._stop.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A lifespan that ends by itself takes its plugin's connections with it: readiness says so."""
        if not self._stop.is_set():
            error = None if task.cancelled() else task.exception()
            self.dead = f"its lifespan ended: {type(error).__name__ if error else 'cancelled'}"
            log.error("plugin %s: %s", self.name, self.dead, exc_info=error)

    async def release(self) -> str | None:
        """One holder less; the last one leaves the lifespan. What went wrong there is returned, not raised: unwinding goes on."""
        self.holders -= 1
        if self.holders > 0 or self._task is None:
            return None
        self._stop.set()
        done, _ = await asyncio.wait((self._task,), timeout=STOP_S)
        if not done:
            self._task.cancel()
            return f"plugin {self.name}: lifespan did not end within {STOP_S:g} s"
        error = self._task.exception() if not self._task.cancelled() and not self.dead else None
        return f"plugin {self.name}: lifespan failed while it was left: {type(error).__name__}: {error}" if error else None
