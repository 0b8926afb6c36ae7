"""The contract that every plugin keeps. Subclass `PluginContract` in a test module:

    class TestContract(PluginContract):
        plugin = "badwords"
        config = {"words": ["fudge"]}

The tests start gateways in this process with the plugin enabled, a provider that plays a script as model `m`, and a recorder.
They are synchronous, so they need no particular async runner.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from ..context import RequestContext
from ..errors import ConfigError, GraphError
from ..hooks import hookimpl
from ..manifest import Manifest
from .fakes import FakeProvider, Recorder
from .formats import find_factory, find_manifest
from .gateway import AsgiExchange, Gateway, open_gateway, scope
from .probes import colour_problems, foreign_imports, open_sockets, readme_of, settled, vars_of, yaml_blocks
from .upstream import Exchange, FakeHttp

MAX_STEPS = 200
CHUNK = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"x",'
UPSTREAM_STREAM = (
    CHUNK + b' "choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n',
    CHUNK + b'"choices":[{"index":0,"delta":{"content":"Hi \\u00e9"}}],"odd":1.50}\r\n\r\n',
    CHUNK + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    CHUNK + b'"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n',
    b"data: [DONE]\n\n",
)
UPSTREAM_WHOLE = (
    b'{ "id":"c1","object":"chat.completion","created":1,"model":"x","odd":1.50,"choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2} }'
)


class _Watcher(Recorder):
    """Also keeps weak references to the contexts it saw."""

    def __init__(self) -> None:
        super().__init__("contract_recorder")
        self.contexts: list[weakref.ref[RequestContext]] = []

    @hookimpl
    async def authorize(self, rc: RequestContext) -> None:
        self.contexts.append(weakref.ref(rc))


class PluginContract:
    plugin: ClassVar[str]
    """The entry point's name."""
    selection: ClassVar[str] = ""
    """What is enabled; default: the standard plugins and this one. One that takes the place of another leaves that out."""
    config: ClassVar[Mapping[str, Any]] = {}
    """The section `plugins.<plugin>`."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """The rest of the configuration file."""
    models: ClassVar[Sequence[Mapping[str, Any]]] = ()
    """Entries of `model_list` beside the provider that plays a script."""
    readme: ClassVar[Path | None] = None
    """Default: the README in the distribution's metadata."""
    path: ClassVar[str] = "/v1/chat/completions"
    body: ClassVar[Mapping[str, Any]] = {"model": "m", "messages": [{"role": "user", "content": "Hello."}]}
    headers: ClassVar[Mapping[str, str]] = {}
    """Of each request, beside the master key."""

    def test_discovery_imports_only_the_sdk(self) -> None:
        foreign = foreign_imports(self.plugin)
        assert not foreign, (
            f"importing the manifest of {self.plugin} also imports {', '.join(foreign)}; move them into the factory's module"
        )

    def test_unknown_config_is_refused(self) -> None:
        word = "no_such_field" if self._manifest().config else f"plugins.{self.plugin}"
        with pytest.raises((ConfigError, GraphError), match=word) as caught:
            self._run(self._open_once({"no_such_field": 1}))
        assert self.plugin in str(caught.value), "the error does not name the plugin"

    def test_hooks_have_the_right_colour_and_arguments(self) -> None:
        problems = colour_problems(find_factory(self._manifest()))
        assert not problems, "\n".join(problems)

    def test_nothing_is_left_after_close(self) -> None:
        self._run(self._leaks())

    def test_cancellation_at_every_await_is_survived(self) -> None:
        self._run(self._cancellations())

    def test_no_request_state_stays_on_the_instance(self) -> None:
        self._run(self._state())

    def test_on_complete_comes_exactly_once(self) -> None:
        self._run(self._completions())

    def test_bytes_pass_unchanged(self) -> None:
        self._run(self._bytes())

    def test_readme_examples_load(self) -> None:
        text = self.readme.read_text("utf-8") if self.readme else readme_of(self.plugin)
        assert text.strip(), f"{self.plugin} has no README: set `readme` to its path"
        for example in yaml_blocks(text):
            self._run(self._open_document(example))

    def _manifest(self) -> Manifest:
        return find_manifest(self.plugin)

    @staticmethod
    def _run(work: Awaitable[None]) -> None:
        async def main() -> None:
            await work

        asyncio.run(main())

    @asynccontextmanager
    async def _gateway(
        self, extra: Mapping[str, Any] | None = None, document: Mapping[str, Any] | None = None, base_url: str = "http://127.0.0.1:9"
    ) -> AsyncIterator[tuple[Gateway, _Watcher]]:
        models = [
            *self.models,
            {"model_name": "m", "litellm_params": {"model": "contract_model/m"}},
            {"model_name": "wire", "litellm_params": {"model": "openai/x", "api_base": f"{base_url}/v1", "api_key": "sk-upstream"}},
        ]
        whole: dict[str, Any] = {"model_list": models, **self.settings, **(document or {})}
        sections = dict(whole.get("plugins", {}))
        section = {**self.config, **sections.get(self.plugin, {}), **(extra or {})}
        whole["plugins"] = sections | ({self.plugin: section} if section else {})
        provider, recorder = FakeProvider(name="contract_model"), _Watcher()
        plugins = [(provider.manifest, provider), (recorder.manifest, recorder)]
        async with open_gateway(whole, plugins=plugins, selection=self.selection or f"+{self.plugin}") as gateway:
            yield gateway, recorder

    async def _open_once(self, extra: Mapping[str, Any]) -> None:
        async with self._gateway(extra):
            pass

    async def _open_document(self, document: Mapping[str, Any]) -> None:
        async with self._gateway(document=document):
            pass

    async def _send(self, gateway: Gateway, request_id: str = "contract", **fields: Any) -> httpx.Response:
        headers = {"x-request-id": request_id, **self.headers}
        return await gateway.client.post(self.path, json={**self.body, **fields}, headers=headers)

    async def _leaks(self) -> None:
        tasks, sockets = asyncio.all_tasks(), open_sockets()
        async with self._gateway() as (gateway, _):
            await self._send(gateway)
            await self._send(gateway, stream=True)
            await self._leave(gateway, 5, "left")
        await settled(lambda: asyncio.all_tasks() <= tasks)
        left = asyncio.all_tasks() - tasks
        assert not left, f"tasks are left after the gateway closed: {left}"
        await settled(lambda: open_sockets() <= sockets)
        assert open_sockets() <= sockets, "sockets are left open after the gateway closed"

    async def _leave(self, gateway: Gateway, steps: int, request_id: str) -> None:
        """A client that leaves after so many turns of the event loop."""
        task = asyncio.ensure_future(self._send(gateway, request_id, stream=True))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and isinstance(task.exception(), AssertionError):
            await task

    async def _cancel(self, gateway: Gateway, steps: int, request_id: str) -> None:
        """A server that cancels the application's task after so many turns of the event loop."""
        headers = {**gateway.client.headers, "x-request-id": request_id, **self.headers, "content-type": "application/json"}
        request = gateway.client.build_request("POST", self.path, json={**self.body, "stream": True}, headers=headers)
        exchange = AsgiExchange(gateway.app, scope(request), request.content)
        for _ in range(steps):
            await asyncio.sleep(0)
        exchange.task.cancel()
        await exchange.aclose()
        if not exchange.task.cancelled():
            exchange.task.exception()

    async def _steps(self, gateway: Gateway) -> int:
        """How many turns of the event loop one request takes."""
        task = asyncio.ensure_future(self._send(gateway, stream=True))
        steps = 0
        while not task.done():
            await asyncio.sleep(0)
            steps += 1
        await task
        return min(steps, MAX_STEPS)

    async def _cancellations(self) -> None:
        async with self._gateway() as (gateway, recorder):
            before = (await self._send(gateway)).status_code
            steps = await self._steps(gateway)
            for how in (self._leave, self._cancel):
                for step in range(steps):
                    await how(gateway, step, f"{how.__name__}-{step}")
            after = await self._send(gateway, "afterwards")
            assert after.status_code == before, f"after cancelled requests it answers {after.status_code}: {after.text}"
            await settled(lambda: "afterwards" in _ids(recorder))
            _once(recorder)

    async def _state(self) -> None:
        async with self._gateway() as (gateway, recorder):
            await self._send(gateway, "first")
            factory = find_factory(self._manifest())
            instances = [each for each in gc.get_objects() if type(each) is factory]
            before = [vars_of(each) for each in instances]
            await self._send(gateway, "second", messages=[{"role": "user", "content": "Another."}])
            changed = [
                sorted(name for name in old if old[name] is not now.get(name))
                for old, now in zip(before, map(vars_of, instances), strict=True)
            ]
            assert not any(changed), (
                f"a request changed attributes of the instance: {changed}; keep request state in rc.state[{self.plugin!r}]"
            )
            await settled(lambda: {"first", "second"} <= _ids(recorder))
            await settled(lambda: not _alive(recorder))
            assert not _alive(recorder), "something still holds the context of a request that has ended"

    async def _completions(self) -> None:
        async with self._gateway() as (gateway, recorder):
            expected = {"whole", "streamed", "unknown-model", "left"}
            await self._send(gateway, "whole")
            await self._send(gateway, "streamed", stream=True)
            await self._send(gateway, "unknown-model", model="no-such-model")
            await self._leave(gateway, max(await self._steps(gateway) // 2, 4), "left")
            await settled(lambda: expected <= _ids(recorder))
            assert expected <= _ids(recorder), f"on_complete never came for {sorted(expected - _ids(recorder))}"
            _once(recorder)

    async def _bytes(self) -> None:
        async with FakeHttp(_upstream) as upstream, self._gateway(base_url=upstream.url) as (gateway, _):
            for stream in (False, True):
                more = b'true,"stream_options":{"include_usage":true}' if stream else b"false"
                body = b'{ "model":"wire", "messages" : [{"role":"user","content":"Hi \\u00e9"}],"odd":1.50,"stream":%b}' % more
                headers = {"content-type": "application/json", **self.headers}
                answer = await gateway.client.post("/v1/chat/completions", content=body, headers=headers)
                assert answer.status_code == 200, answer.text
                assert upstream.exchanges[-1].body == body.replace(b'"wire"', b'"x"'), "the provider got another body than the client sent"
                if not self._manifest().mutates:
                    sent = b"".join(UPSTREAM_STREAM) if stream else UPSTREAM_WHOLE
                    assert answer.content == sent, "the client got other bytes than the provider sent"


async def _upstream(exchange: Exchange) -> None:
    if not exchange.json()["stream"]:
        return await exchange.reply(200, UPSTREAM_WHOLE, [("content-type", "application/json")])
    await exchange.start(200, [("content-type", "text/event-stream")])
    for event in UPSTREAM_STREAM:
        await exchange.chunk(event)
    await exchange.end()


def _ids(recorder: Recorder) -> set[str]:
    return {request_id for request_id, _ in recorder.outcomes}


def _once(recorder: Recorder) -> None:
    ids = [request_id for request_id, _ in recorder.outcomes]
    twice = sorted({each for each in ids if each != "contract" and ids.count(each) > 1})
    assert not twice, f"on_complete came more than once for {twice}"


def _alive(recorder: _Watcher) -> list[RequestContext]:
    gc.collect()
    return [context for ref in recorder.contexts if (context := ref()) is not None]
