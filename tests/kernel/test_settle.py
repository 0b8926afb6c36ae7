"""`on_complete` runs in the request's own task, after the answer: whatever becomes of one plugin there, the others are told once."""

from __future__ import annotations

import asyncio
import json
from asyncio import CancelledError, Event
from typing import Any

from routeiq_sdk import API_VERSION, Manifest, Outcome, hookimpl
from routeiq_sdk.testing import FakeProvider, open_gateway

CONFIG = {"model_list": [{"model_name": "m", "litellm_params": {"model": "fake/m"}}]}
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello."}]}).encode()
SCOPE = {
    "type": "http", "http_version": "1.1", "method": "POST", "path": "/v1/chat/completions", "raw_path": b"/v1/chat/completions",
    "scheme": "http", "query_string": b"", "root_path": "", "client": ("127.0.0.1", 4000), "server": ("127.0.0.1", 80),
    "headers": [(b"host", b"gateway"), (b"content-type", b"application/json"), (b"authorization", b"Bearer sk-test")],
}  # fmt: skip


class Told:
    def __init__(self) -> None:
        self.seen: list[str] = []

    @hookimpl
    async def on_complete(self, outcome: Outcome) -> None:
        self.seen.append(outcome.status)


class Slow(Told):
    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go = Event(), Event()
        self.cut = 0

    @hookimpl
    async def on_complete(self, outcome: Outcome) -> None:
        self.entered.set()
        try:
            await self.go.wait()
        except CancelledError:
            self.cut += 1
            raise
        self.seen.append(outcome.status)


def manifest(name: str, **more: Any) -> Manifest:
    return Manifest(name=name, api=API_VERSION, factory="tests:none", **more)


async def test_a_drain_that_is_over_cuts_off_the_hook_that_hangs_and_the_others_are_told() -> None:
    fake, slow, last = FakeProvider(), Slow(), Told()
    plugins = [(fake.manifest, fake), (manifest("a1", hook_timeout_s=60.0), slow), (manifest("a2"), last)]
    async with open_gateway(CONFIG, plugins=plugins) as gateway:
        answer = asyncio.ensure_future(gateway.client.post("/v1/chat/completions", content=BODY))
        await asyncio.wait_for(slow.entered.wait(), 5)
        await asyncio.wait_for(gateway.app.drained(0.01), 5)
        assert (slow.cut, last.seen) == (1, ["complete"])
        assert (await answer).status_code == 200


async def test_strangers_who_cancel_the_request_cut_off_one_hook_and_the_others_are_told() -> None:
    fake, first, slow, last = FakeProvider(), Told(), Slow(), Told()
    plugins = [(fake.manifest, fake), *((manifest(name), each) for name, each in (("a1", first), ("a2", slow), ("a3", last)))]
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async with open_gateway(CONFIG, plugins=plugins) as gateway:
        request = asyncio.ensure_future(gateway.app({**SCOPE, "state": {}}, receive, send))
        await asyncio.wait_for(slow.entered.wait(), 5)
        assert sent[0]["status"] == 200 and not sent[-1].get("more_body"), "the client has its answer"
        request.cancel()
        await asyncio.wait((request,), timeout=5)
    assert request.done()
    assert (first.seen, slow.cut, last.seen) == (["complete"], 1, ["complete"]), "the gateway ends when all were told"
