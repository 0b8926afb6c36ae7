"""The plugin: one provider for each of LiteLLM's names.

The SDK is used as the transport of a provider that speaks OpenAI's Chat Completions: the kernel builds the body with that format's
codec and reports what it cannot express; `LiteLlmUpstream.open` gives it to `acompletion` and returns the `ModelResponse`, or the
stream of them, as that format's bytes. An `EventProvider` would have to repeat the codec.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
from attrs import frozen
from routeiq_sdk import Call, ConfigError, Deployment, PluginContext, UpstreamError, hookimpl, setting
from routeiq_sdk.resources import Provider, UpstreamResponse, UpstreamSocket
from routeiq_sdk.stream import Error
from routeiq_sdk.wire import Headers

from .answer import Refused, Stream, Whole
from .call import NO_LIMIT_S, bind, secrets
from .errors import FAILURES, Mask, refusal
from .names import registered
from .sdk import Sdk, load, problem, without_accounts

TRACING = frozenset((b"traceparent", b"tracestate"))
OWN = frozenset((b"retry-after", b"retry-after-ms", b"request-id", b"x-should-retry"))
LIMITS = (b"x-ratelimit-", b"anthropic-ratelimit-", b"ratelimit")
Ready = tuple[Any, Any, tuple[type[BaseException], ...]]
"""LiteLLM, the time limits of a call, and what a call may raise."""
log = logging.getLogger("routeiq.provider_litellm")


@frozen
class Config:
    fetch_media_mb: float = setting(
        0.0, help="largest image that LiteLLM may fetch from a URL in a prompt, for providers that take no URLs; 0 fetches none",
        validator=attrs.validators.ge(0),
    )  # fmt: skip


class Closing:
    """Ends streams that nobody reads to their end; `close` of a response must not wait."""

    tasks: asyncio.TaskGroup | None = None

    def end(self, wrapper: Any, reader: asyncio.Task[None] | None) -> None:
        if reader is not None:
            reader.cancel()
        if self.tasks is not None:
            self.tasks.create_task(self._end(wrapper, reader))

    async def _end(self, wrapper: Any, reader: asyncio.Task[None] | None) -> None:
        if reader is not None:
            await asyncio.wait((reader,))
        try:
            await wrapper.aclose()
        except FAILURES as error:
            log.debug("closing a stream failed: %s", type(error).__name__)


class LiteLlmUpstream:
    formats: Sequence[str] = ("openai",)

    def __init__(self, sdk: Sdk, closing: Closing, deployment: Deployment) -> None:
        self._sdk, self._closing = sdk, closing
        self._binding = bind(deployment)
        self._mask = Mask(secrets(deployment))
        self._ready: Ready | None = None

    async def open(self, call: Call) -> UpstreamResponse:
        arguments = self._binding.arguments(call)
        litellm, timeout, failures = self._ready or await self._prepare(call.connect_timeout_s)
        try:
            answer = await litellm.acompletion(**without_accounts(litellm, {"timeout": timeout, **arguments}))
        except failures as error:
            return Refused(refusal(error, self._mask))
        if hasattr(answer, "__anext__"):
            return Stream(answer, failures, self._mask, self._closing.end)
        return Whole(answer, self._mask)

    async def _prepare(self, connect_s: float) -> Ready:
        litellm = await self._sdk.get()
        timeout = litellm.httpx.Timeout(NO_LIMIT_S, connect=connect_s)
        failures = (litellm.openai.OpenAIError, litellm.httpx.HTTPError, *FAILURES)
        self._ready = (litellm, timeout, failures)
        return self._ready

    async def connect(self, call: Call) -> UpstreamSocket:
        raise UpstreamError(Error(kind="not_found", message="The LiteLLM SDK is used for chat only: it opens no WebSocket."), "connect")


class LiteLlmProvider:
    base_models: Sequence[str] = ()

    def __init__(self, name: str, sdk: Sdk, closing: Closing) -> None:
        self.name = name
        self._sdk, self._closing = sdk, closing

    def bind(self, deployment: Deployment) -> LiteLlmUpstream:
        wrong = problem(f"{self.name}/{deployment.model}")
        if wrong:
            raise ConfigError(f"deployment {deployment.group!r}: {wrong}")
        return LiteLlmUpstream(self._sdk, self._closing, deployment)

    def forward_headers(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        return tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.raw if name in TRACING])

    def return_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        renamed = [(b"x-upstream-request-id" if name == b"x-request-id" else name, value) for name, value in headers]
        return [pair for pair in renamed if pair[0] in OWN or pair[0] == b"x-upstream-request-id" or pair[0].startswith(LIMITS)]


class LiteLlmProviders:
    def __init__(self, config: Config) -> None:
        self._sdk = Sdk(partial(load, config.fetch_media_mb))
        self._closing = Closing()
        self._names = frozenset(registered())

    @hookimpl
    def register_providers(self) -> Iterable[Provider]:
        return [LiteLlmProvider(name, self._sdk, self._closing) for name in registered()]

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        """The SDK is imported before the first request, and only where a deployment needs it. A deployment that comes with a
        reload pays at its first request."""
        if any(deployment.provider in self._names for deployment in ctx.deployments):
            await self._sdk.get()
        async with asyncio.TaskGroup() as self._closing.tasks:
            yield
