"""Provides the model catalogue and the token counter, and answers `/v1/model/info`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from routeiq_sdk import PluginContext, ServiceKey, Surface, hookimpl
from routeiq_sdk.services import MODEL_CATALOG, PRICE_BOOK, TOKEN_COUNTER, PriceBook

from .catalog import Catalog
from .counter import Counter
from .info import ModelInfo

PATHS = ("/v1/model/info", "/model/info")


class Models:
    def __init__(self) -> None:
        self._catalog, self._counter = Catalog(), Counter()
        self._book: PriceBook | None = None

    @hookimpl
    def provide_services(self) -> Mapping[ServiceKey[Any], object]:
        return {MODEL_CATALOG: self._catalog, TOKEN_COUNTER: self._counter}

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        self._book = ctx.optional(PRICE_BOOK)
        yield

    @hookimpl
    def register_surfaces(self, ctx: PluginContext) -> Iterable[Surface]:
        info = ModelInfo(self._catalog, lambda: self._book, ctx.deployments)
        for path in PATHS:
            yield Surface(method="GET", path=path, kind="local", operation="model_info", format="openai", handler=info.answer)
