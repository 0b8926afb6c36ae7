"""The in-process gateway that `routeiq_sdk.testing` finds through the entry point `routeiq.testing`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from attrs import frozen
from routeiq_sdk import Manifest

from .config.load import Document
from .runtime.build import build
from .runtime.graph import Live
from .runtime.shared import Shared
from .web.app import Gateway


@frozen
class InProcess:
    app: Gateway
    base_url: str = "http://gateway.test"


@asynccontextmanager
async def gateway(
    config: Mapping[str, Any] | None = None,
    *,
    plugins: Sequence[tuple[Manifest, Any]] = (),
    selection: str = "@default",
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[InProcess]:
    """A whole gateway without a socket. `plugins` are manifests with their factories; a factory with a `Config` attribute gets
    its section. Leaving it closes everything."""
    document = Document(dict(config or {}), environ=dict(environ or {}), flags={"kernel.plugins": selection})
    extra = {manifest.name: (manifest, factory) for manifest, factory in plugins}
    app = Gateway(await build(document, Live(), extra=extra), Shared.create(1))
    try:
        yield InProcess(app)
    finally:
        app.start_drain()
        await app.drained(5.0)
        await app.close()
