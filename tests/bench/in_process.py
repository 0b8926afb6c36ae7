"""What twenty enabled plugins without an opinion cost a request, in this process. Prints µs of CPU per request.

The same ASGI requests go to two gateways that differ in those plugins only, in turns; the figure is the difference of the
minima, because noise only adds.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import MutableMapping
from contextlib import AsyncExitStack
from typing import Any

import uvloop
from routeiq_bench import bystander
from routeiq_bench.plugin import Bystander
from routeiq_sdk.testing import FakeProvider, open_gateway

PLUGINS, REQUESTS, TURNS = 20, 300, 15
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "lorem ipsum " * 75}]}).encode()
CONFIG = {"model_list": [{"model_name": "m", "litellm_params": {"model": "fake/m"}}], "general_settings": {"master_key": "sk-bench"}}
SCOPE = {
    "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "POST", "scheme": "http",
    "path": "/v1/chat/completions", "raw_path": b"/v1/chat/completions", "query_string": b"", "root_path": "", "extensions": {},
    "headers": [(b"host", b"x"), (b"content-type", b"application/json"), (b"authorization", b"Bearer sk-bench")],
    "client": ("127.0.0.1", 40000), "server": ("127.0.0.1", 80),
}  # fmt: skip


async def request(app: Any) -> int:
    """One request; the client stays until the application has returned. Gives the status."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": BODY, "more_body": False}]
    gone: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    status = 0

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else await gone

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    await app({**SCOPE, "state": {}}, receive, send)
    gone.cancel()
    return status


async def turn_us(app: Any) -> float:
    """CPU of one request, `on_complete` included: the loop gets to run what the requests left to it."""
    start = time.process_time()
    for _ in range(REQUESTS):
        if await request(app) != 200:
            raise RuntimeError("the gateway did not answer 200")
    for _ in range(20):
        await asyncio.sleep(0)
    return (time.process_time() - start) / REQUESTS * 1e6


async def main() -> None:
    async with AsyncExitStack() as stack:
        apps = []
        for count in (0, PLUGINS):
            fake = FakeProvider()
            plugins = [(fake.manifest, fake), *((bystander(number), Bystander) for number in range(count))]
            gateway = await stack.enter_async_context(open_gateway(CONFIG, plugins=plugins))
            apps.append(gateway.app)
        gc.collect()
        gc.freeze()
        turns = [[await turn_us(app) for app in apps] for _ in range(TURNS)]
        without, enabled = (min(column) for column in zip(*turns[1:], strict=True))
        print(json.dumps({"without_us": round(without, 1), "with_us": round(enabled, 1), "twenty_plugins_us": round(enabled - without, 1)}))


if __name__ == "__main__":
    uvloop.run(main())
