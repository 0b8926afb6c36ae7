"""A deployment that is slow gets a rival; the first with content answers and the other's connection is closed."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from .harness import CALLS, KEY, GatewayProcess, eventually
from .plugins import plugin, plugin_folder
from .wall import Wall

HEDGER = plugin(
    "hedger",
    """
    @hookimpl
    async def route(self, candidates, request, rc):
        order = sorted(candidates, key=lambda each: each.model)
        return Plan(tuple(order), "hedged", hedge_after_s=float(rc.headers.get("x-hedge") or 0.2))
""",
)


@pytest.fixture(scope="module")
def gateway(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("hedge")
    params = {"api_base": f"{wall.url}/v1", "api_key": "sk-any"}
    both = [{"model_name": "twins", "litellm_params": {"model": f"openai/{name}", **params}} for name in ("one", "two")]
    config = {"model_list": both, "general_settings": {"master_key": KEY}}
    with GatewayProcess(folder, config, "--plugins", "-resilience,+hedger", env=plugin_folder(folder, hedger=HEDGER)) as gateway:
        yield gateway


def ask(gateway: GatewayProcess, format: str, behaviour: str, stream: bool, after_s: str = "0.2") -> httpx.Response:
    path, build = CALLS[format]
    with gateway.client(headers={"x-hedge": after_s}) as client:
        return client.post(path, json=build(f"wall:{behaviour}", "twins", stream=stream))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("format", CALLS)
def test_the_rival_answers_for_a_silent_deployment(gateway: GatewayProcess, wall: Wall, tag: str, format: str, stream: bool) -> None:
    answer = ask(gateway, format, f"silent-for?model=one&tag={tag}", stream)
    assert answer.status_code == 200 and "Hello" in answer.text, answer.text
    assert (answer.headers["x-routeiq-model"], answer.headers["x-routeiq-attempts"]) == ("two", "2")
    slow, _ = wall.all(tag)
    eventually(slow.closed.is_set, what="the slow deployment's connection to close")


@pytest.mark.parametrize("stream", [False, True])
def test_a_quick_deployment_has_no_rival(gateway: GatewayProcess, wall: Wall, tag: str, stream: bool) -> None:
    answer = ask(gateway, "openai", f"normal?tag={tag}", stream, after_s="20")
    assert (answer.headers["x-routeiq-model"], answer.headers["x-routeiq-attempts"]) == ("one", "1")
    assert len(wall.all(tag)) == 1


def test_a_deployment_that_fails_at_once_gets_no_rival(gateway: GatewayProcess, wall: Wall, tag: str) -> None:
    answer = ask(gateway, "openai", f"status?code=503&tag={tag}", False, after_s="20")
    assert answer.status_code == 503
    assert len(wall.all(tag)) == 1


def test_when_both_fail_the_client_is_told_the_first_error(gateway: GatewayProcess, wall: Wall, tag: str) -> None:
    answer = ask(gateway, "openai", f"late-status?code=503&ms=300&tag={tag}", True, after_s="0.1")
    assert answer.status_code == 503
    assert len(wall.all(tag)) == 2
