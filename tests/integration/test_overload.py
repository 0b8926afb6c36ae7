"""More than the gateway admits: what is new is refused quickly, and what runs keeps its pace."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from statistics import median, quantiles

import httpx

from .harness import CALLS, GatewayProcess, error_of, eventually, litellm
from .load import crowd, listen
from .wall import Wall

STREAMS, PIECES, PACE_MS = 40, 60, 100
PACE_S = PACE_MS / 1000
CLIENTS, EACH = 20, 20
MODELS = {"openai": "gpt", "anthropic": "claude"}


async def timed(client: httpx.AsyncClient, format: str, text: str, stream: bool = False) -> tuple[httpx.Response, float]:
    """The answer, and the seconds it took."""
    path, build = CALLS[format]
    started = time.monotonic()
    answer = await client.post(path, json=build(text, MODELS[format], stream=stream))
    return answer, time.monotonic() - started


async def burst(client: httpx.AsyncClient, text: str) -> list[float]:
    """Seconds of each refusal; `CLIENTS` ask at a time, each `EACH` times."""

    async def one(number: int) -> list[float]:
        format, took = list(CALLS)[number % 2], list[float]()
        for turn in range(EACH):
            answer, seconds = await timed(client, format, text, stream=turn % 2 == 0)
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["retry-after"]) >= 1
            error = error_of(format, answer.content)
            assert (error["code"] if format == "openai" else error["details"]["code"]) == "over_capacity"
            took.append(seconds)
        return took

    return [seconds for took in await asyncio.gather(*map(one, range(CLIENTS))) for seconds in took]


async def test_a_burst_is_refused_quickly_and_open_streams_keep_their_pace(wall: Wall, tmp_path: Path, tag: str) -> None:
    config = litellm(wall.url, max_concurrent_requests=STREAMS)
    with GatewayProcess(tmp_path, config) as gateway:
        async with crowd(gateway.url) as client, asyncio.TaskGroup() as tasks:
            idle_s = median([(await timed(client, format, "Hello."))[1] for format in CALLS for _ in range(10)])
            formats = [list(CALLS)[number % 2] for number in range(STREAMS)]
            streams = [
                tasks.create_task(listen(client, format, MODELS[format], f"{tag}n{number}", PIECES, PACE_MS))
                for number, format in enumerate(formats)
            ]
            await asyncio.to_thread(eventually, lambda: len(wall.all(tag)) == STREAMS, what="all streams to be open")
            began_s = time.monotonic()
            took = await burst(client, f"one more {tag}-late")
            ended_s = time.monotonic()
            assert not any(stream.done() for stream in streams)
    assert wall.all(f"{tag}-late") == []
    assert quantiles(took, n=100)[98] < 0.5 + 5 * CLIENTS * idle_s
    for heard in (stream.result() for stream in streams):
        assert heard.whole(), heard
        assert heard.longest_gap_s() < 10 * PACE_S
        assert sum(began_s < at_s < ended_s for at_s in heard.at_s) > (ended_s - began_s) / PACE_S / 2 - 1
