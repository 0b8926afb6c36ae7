"""The fake provider of everything that is passed on: `Provider` answers by method and path from `ANSWERS`, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import defaultdict
from types import TracebackType
from typing import Any, Self

from routeiq_sdk.testing import Exchange, FakeHttp

from .harness import KEY
from .plugins import plugin

JSON = [("content-type", "application/json"), ("x-request-id", "req-of-the-provider")]
EMBEDDINGS = (
    b'{ "object":"list", "data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAEA="}],\n'
    b' "model":"emb-real", "usage":{"prompt_tokens":5,"total_tokens":5} }'
)
ANSWERS: dict[tuple[str, str], bytes] = {
    ("POST", "/v1/embeddings"): EMBEDDINGS,
    (
        "POST",
        "/v1/images/generations",
    ): b'{"created":1,"data":[{"b64_json":"aGk="}],"usage":{"input_tokens":4,"output_tokens":9,"total_tokens":13}}',
    ("POST", "/v1/images/edits"): b'{"created":1,"data":[{"b64_json":"aGk="}]}',
    (
        "POST",
        "/v1/audio/transcriptions",
    ): b'{"text":"hello","usage":{"type":"tokens","input_tokens":14,"output_tokens":3,"total_tokens":17}}',
    ("POST", "/v1/moderations"): b'{"id":"modr-1","model":"mod-real","results":[]}',
    ("POST", "/v1/rerank"): b'{"id":"rr","results":[{"index":0,"relevance_score":0.9}],"usage":{"total_tokens":7}}',
    ("GET", "/v1/files"): b'{"object":"list","data":[]}',
    ("POST", "/v1/responses/compact"): b'{"id":"resp_c","object":"response.compaction"}',
}


class Provider:
    """`with Provider("a") as one`: ids that it makes end in its name, and it knows no others."""

    def __init__(self, name: str) -> None:
        self.name, self.url = name, ""
        self.exchanges: list[Exchange] = []
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name=f"provider {name}")
        self._loop: asyncio.AbstractEventLoop

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the fake provider did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with FakeHttp(self._respond) as http:
            self.url, self.exchanges = http.url, http.exchanges
            self._ready.set()
            await self._stop.wait()

    def open(self, gate: str) -> None:
        self._loop.call_soon_threadsafe(self.gates[gate].set)

    @property
    def last(self) -> Exchange:
        return self.exchanges[-1]

    async def _respond(self, exchange: Exchange) -> None:
        path, _, query = exchange.target.partition("?")
        answer = ANSWERS.get((exchange.method, path))
        if b"please-fail" in exchange.body or "please-fail" in query:
            error = b'{"error" : {"message":"No such thing.","type":"odd_error","param":"x","code":"odd"}}'
            return await exchange.reply(422, error, JSON)
        if b"flaky" in exchange.body and (answer != EMBEDDINGS or sum(b"flaky" in each.body for each in self.exchanges) % 2):
            return await exchange.reply(503, b'{"error":{"message":"Not now.","type":"server_error"}}', JSON)
        if b"hang-up" in exchange.body and sum(b"hang-up" in each.body for each in self.exchanges) % 2:
            return exchange.close()
        if b'"sse"' in exchange.body:
            events = b'data: {"type":"x"}\n\ndata: {"type":"done","usage":{"input_tokens":40,"output_tokens":2}}\n\n'
            return await exchange.reply(200, events, [("content-type", "text/event-stream")])
        if path.startswith("/v1/messages/batches/"):
            missing = b'{"type":"error","error":{"type":"not_found_error","message":"No such batch."}}'
            return await exchange.reply(404, missing, JSON)
        if answer is not None:
            return await exchange.reply(200, answer, JSON)
        if path == "/v1/audio/speech":
            return await self._speech(exchange)
        if path == "/v1/responses":
            return await self._responses(exchange)
        if path in ("/v1/files", "/v1/batches", "/v1/vector_stores"):
            return await self._reply(exchange, {"id": f"{path[4:8]}-{self.name}", "object": path[4:], "status": "validating"})
        if exchange.header("x-stay") or "stay" in query:
            await exchange.closed.wait()
            raise ConnectionResetError("the gateway left")
        if path.startswith(("/v1/files/", "/v1/batches/", "/v1/vector_stores/", "/v1/responses/")):
            known = path.split("/")[3].endswith(f"-{self.name}")
            if known and path.endswith("/content"):
                return await exchange.reply(200, b"\x00line\n" * 1000, [("content-type", "application/octet-stream")])
            return await self._reply(exchange, {"id": path.split("/")[3], "by": self.name}, 200 if known else 404)
        await self._reply(exchange, {"method": exchange.method, "target": exchange.target, "by": self.name})

    async def _responses(self, exchange: Exchange) -> None:
        part = {"type": "output_text", "text": "Hi.", "annotations": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        whole = {"id": f"resp_{len(self.exchanges)}-{self.name}", "object": "response", "created_at": 1, "model": "m", "output": [item]}
        whole |= {"status": "completed", "usage": usage, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        if not exchange.json().get("stream"):
            return await self._reply(exchange, whole)
        begun = whole | {"output": [], "status": "in_progress", "usage": None}
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": item | {"content": [], "status": "in_progress"}},
            {"type": "response.content_part.added", **place, "part": part | {"text": ""}},
            {"type": "response.output_text.delta", **place, "delta": "Hi.", "logprobs": []},
            {"type": "response.output_text.done", **place, "text": "Hi.", "logprobs": []},
            {"type": "response.content_part.done", **place, "part": part},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": whole},
        ]
        await exchange.start(200, [("content-type", "text/event-stream")])
        for number, event in enumerate(events):
            data = json.dumps(event | {"sequence_number": number})
            await exchange.chunk(f"event: {event['type']}\ndata: {data}\n\n".encode())
        await exchange.end()

    async def _speech(self, exchange: Exchange) -> None:
        await exchange.start(200, [("content-type", "audio/mpeg")])
        await exchange.chunk(b"\xff\xfb" + b"\x00" * 1000)
        gate = exchange.json().get("instructions", "")
        if gate == "cut":
            return exchange.close()
        if gate == "forever":
            while True:
                await exchange.chunk(b"\x01" * 65536)
        if gate:
            await self.gates[gate].wait()
        await exchange.chunk(b"\x02" * 1000)
        await exchange.end()

    async def _reply(self, exchange: Exchange, answer: Any, status: int = 200) -> None:
        await exchange.reply(status, b"" if exchange.method == "HEAD" else json.dumps(answer).encode(), JSON)


WATCHER = plugin(
    "watcher",
    """
    @hookimpl
    async def authorize(self, request, rc):
        if request.model == "forbidden":
            return Deny("no_model", "Not this model.")
        if rc.headers.get("x-read") and "secret word" in request.text():
            return Deny("bad_word", "Not this word.")

    @hookimpl
    async def on_upstream_error(self, failure, rc):
        return Retry() if rc.headers.get("x-retry") else None

    @hookimpl
    async def on_complete(self, outcome, rc):
        usage = outcome.usage
        print("OUTCOME", rc.operation, outcome.status, outcome.http_status, outcome.model,
              outcome.deployment.model if outcome.deployment else None, usage.total() if usage else None, len(outcome.attempts), flush=True)
""",
)


def config(one: Provider, two: Provider, **kernel: Any) -> dict[str, Any]:
    def entry(name: str, model: str, provider: Provider, key: str) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": model, "api_base": f"{provider.url}/v1", "api_key": key}}

    return {
        "model_list": [
            entry("emb", "openai/emb-real", one, "sk-of-a"),
            entry("whisper", "openai/whisper-real", one, "sk-of-a"),
            entry("far", "openai/far-real", two, "sk-of-b"),
            entry("forbidden", "openai/forbidden-real", one, "sk-of-a"),
            entry("ranker", "hosted_vllm/rank-real", two, "sk-of-b"),
            entry("both", "openai/m", one, "sk-of-a"),
            entry("both", "openai/m", two, "sk-of-b"),
            {"model_name": "demo", "litellm_params": {"model": "demo/demo"}},
        ],
        "general_settings": {"master_key": KEY},
        "kernel": {"plugins": "+watcher", **kernel},
    }
