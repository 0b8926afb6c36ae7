"""Answers that break off behind the commit point and are finished by another attempt, for clients and providers of every format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from routeiq_sdk.stream import BlockDelta
from routeiq_sdk.testing import codec

from .harness import CALLS, GatewayProcess, litellm
from .plugins import plugin, plugin_folder
from .wall import TEXT, Wall

RESCUER = plugin(
    "rescuer",
    """
    @hookimpl
    async def on_upstream_error(self, failure, rc):
        modes = (rc.headers.get("x-rescue") or "").split(",")
        used = failure.number - 1
        return Rescue(modes[used]) if failure.committed and used < len(modes) and modes[used] else Fail()
""",
)
WHOLE = "".join(TEXT)
PAIRS = [(format, model) for format in (*CALLS, "responses", "gemini") for model in ("gpt", "claude")]
Oracle = Callable[[str, bytes], list[str]]


@pytest.fixture(scope="module")
def gateway(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("rescue")
    flags = ("--plugins", "-resilience,+rescuer")
    with GatewayProcess(folder, litellm(wall.url, debug_headers=True), *flags, env=plugin_folder(folder, rescuer=RESCUER)) as gateway:
        yield gateway


def ask(gateway: GatewayProcess, format: str, model: str, behaviour: str, modes: str) -> bytes:
    prompt = f"wall:{behaviour}"
    if format == "gemini":
        path = f"/v1beta/models/{model}:streamGenerateContent?alt=sse"
        body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
    elif format == "responses":
        path, body = "/v1/responses", {"model": model, "input": prompt, "stream": True}
    else:
        path, build = CALLS[format]
        body = build(prompt, model, stream=True)
    with gateway.client(headers={"x-rescue": modes}) as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.content


def text_of(format: str, body: bytes) -> str:
    own = codec(format)
    framer, decoder = own.framer(), own.decoder()
    events = [event for frame in [*framer.feed(body), *framer.close()] for event in decoder.feed(frame)]
    return "".join(event.value for event in events if isinstance(event, BlockDelta) and event.field == "text")


@pytest.mark.parametrize("mode", ["continue", "restart"])
@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_a_broken_answer_is_finished(gateway: GatewayProcess, oracles: Oracle, tag: str, format: str, model: str, mode: str) -> None:
    body = ask(gateway, format, model, f"breaks?id={tag}", mode)
    assert text_of(format, body) == WHOLE, body
    assert oracles(format, body) == []


@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_a_refused_prefill_is_followed_by_a_restart(gateway: GatewayProcess, oracles: Oracle, tag: str, format: str, model: str) -> None:
    body = ask(gateway, format, model, f"breaks?id={tag}&refuse=1", "continue,restart")
    assert text_of(format, body) == WHOLE, body
    assert oracles(format, body) == []


@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_another_answer_is_not_joined(gateway: GatewayProcess, tag: str, format: str, model: str) -> None:
    body = ask(gateway, format, model, f"breaks?id={tag}&unlike=1", "restart")
    assert b"broke" in body, "the break of the answer, not the failure of its rescue"
    assert text_of(format, body) == "".join(TEXT[:2])


@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_a_refused_prefill_is_not_what_the_client_is_told(gateway: GatewayProcess, tag: str, format: str, model: str) -> None:
    body = ask(gateway, format, model, f"breaks?id={tag}&refuse=1", "continue")
    assert b"prefill" not in body.lower() and b"broke" in body


@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_an_answer_that_ignores_the_prefill_is_not_told_twice(
    gateway: GatewayProcess, oracles: Oracle, tag: str, format: str, model: str
) -> None:
    body = ask(gateway, format, model, f"breaks?id={tag}&echo=1", "continue")
    assert text_of(format, body) == WHOLE, body
    assert oracles(format, body) == []


@pytest.mark.parametrize("pieces", [1, 4, 5])
@pytest.mark.parametrize("mode", ["continue", "restart"])
def test_a_break_may_be_anywhere_in_the_text(gateway: GatewayProcess, oracles: Oracle, tag: str, mode: str, pieces: int) -> None:
    body = ask(gateway, "anthropic", "claude", f"breaks?id={tag}&n={pieces}", mode)
    assert text_of("anthropic", body) == WHOLE, body
    assert oracles("anthropic", body) == []
