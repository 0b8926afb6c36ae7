"""Registers the endpoints of the table, and one for all the rest of each provider that has a deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from attrs import frozen
from routeiq_sdk import PluginContext, Surface, hookimpl, setting
from routeiq_sdk.wire import Headers

from .table import ANTHROPIC, FORMATS, GEMINI, LIVE, OF_ANTHROPIC_TOO, OF_GEMINI, OF_OPENAI, OF_RESPONSES, OPENAI, RESPONSES, Row
from .usage import characters, usage

Match = Callable[[Headers, str], bool]


@frozen
class Config:
    pass_through: bool = setting(True, help="serve /PROVIDER/… for every provider that has a deployment")


class Surfaces:
    def __init__(self, config: Config) -> None:
        self._config = config

    @hookimpl
    def register_surfaces(self, ctx: PluginContext) -> Iterable[Surface]:
        for prefix in ("/v1", ""):
            for row in OF_OPENAI:
                yield from _surfaces(row, OPENAI, prefix, "/v1")
            for row in OF_RESPONSES:
                yield from _surfaces(row, RESPONSES, prefix, "/v1")
            yield _socket(f"{prefix}/realtime", "query", OPENAI, upstream="/v1/realtime")
        yield from _surfaces(Row("rerank", "POST", "/v2/rerank", "body"), OPENAI, "", "")
        for row in OF_ANTHROPIC_TOO:
            yield from _surfaces(row, ANTHROPIC, "", "")
        for prefix in ("/v1beta", "/v1beta1"):
            for row in OF_GEMINI:
                yield from _surfaces(row, GEMINI, prefix, prefix)
        if self._config.pass_through:
            for provider in dict.fromkeys(deployment.provider for deployment in ctx.deployments):
                yield from _pass_through(provider)
                if provider == GEMINI:
                    yield _socket(LIVE, "none", GEMINI, upstream=LIVE, provider=provider)


def _surfaces(row: Row, format: str, prefix: str, upstream: str) -> Iterator[Surface]:
    for method in row.methods.split():
        yield Surface(
            method=method,
            path=prefix + row.path,
            kind="forward",
            operation=row.operation,
            format=format,
            match=partial(_has, row.header) if row.header else None,
            model=row.model,
            upstream=upstream + row.path,
            owns=row.owns,
            refers=row.refers,
            usage=usage,
            asks=characters if row.operation == "speech" else None,
        )


def _pass_through(provider: str) -> Iterator[Surface]:
    path, format = f"/{provider}/{{rest:path}}", FORMATS.get(provider, OPENAI)
    yield Surface(
        method="*",
        path=path,
        kind="forward",
        operation="pass_through",
        format=format,
        model="none",
        provider=provider,
        upstream="/{rest:path}",
        owns=("id",),
        usage=usage,
    )
    yield _socket(path, "none", format, upstream="/{rest:path}", provider=provider)


def _socket(path: str, model: str, format: str, upstream: str, provider: str | None = None) -> Surface:
    return Surface(
        method="WEBSOCKET",
        path=path,
        kind="socket",
        operation="pass_through" if provider else "realtime",
        format=format,
        model=model,
        provider=provider,
        upstream=upstream,
        usage=usage,
    )


def _has(name: str, headers: Headers, _query: str) -> bool:
    return name in headers
