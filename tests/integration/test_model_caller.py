"""`MODEL_CALLER`: what a plugin asks of models goes the way of a client's request, without a client."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness import KEY, GatewayProcess, chat, eventually
from .plugins import plugin, plugin_folder
from .test_resilience import entry
from .wall import Wall

JUDGE = plugin(
    "judge",
    """
    @hookimpl
    @contextlib.asynccontextmanager
    async def lifespan(self, ctx):
        self.caller = ctx.service(MODEL_CALLER)
        asked = ctx.name + "-before-the-gateway-serves"
        first = asyncio.create_task(self.ask({"body": {"model": "main", "messages": [{"role": "user", "content": asked}]}}))
        yield
        self.first = await first
        print("first", json.dumps(self.first), flush=True)

    async def ask(self, asked):
        within_s = asked.pop("within_s", 30)
        try:
            async with asyncio.timeout(within_s):
                status, body = await self.caller.call(asked.pop("body"), **asked)
        except (ClientError, TimeoutError) as error:
            return {"raised": f"{type(error).__name__}: {error}"}
        return {"status": status, "body": body.decode()}

    @hookimpl
    def register_routes(self):
        async def call(request):
            return Reply(body=json.dumps(await self.ask(await request.json())).encode())
        return [Route(method="POST", path="/judge", handler=call, auth="open")]

    @hookimpl
    async def authorize(self, request, rc):
        if "forbidden" in request.text():
            return Deny("judged", "It is forbidden.")

    @hookimpl
    async def on_complete(self, outcome, rc):
        who, credentials = rc.principal, [name for name, _ in rc.headers] + list(rc.client_credentials)
        print("ended", json.dumps({
            "text": rc.request and rc.request.text(), "who": who and [who.id, who.kind],
            "status": outcome.status, "http": outcome.http_status,
            "attempts": [each.deployment.id for each in outcome.attempts], "cost": outcome.cost and str(outcome.cost.usd),
            "tokens": outcome.usage and outcome.usage.total(), "headers": credentials,
            "error": outcome.error and outcome.error.kind,
        }), flush=True)
        if rc.request and "slow-bookkeeping" in rc.request.text():
            await asyncio.sleep(0.8)
            print("kept", flush=True)
""",
    manifest="capabilities={Capability.ROUTES}",
    imports="import contextlib, json\nfrom routeiq_sdk.services import MODEL_CALLER",
)
PRICE = {"input_cost_per_token": 1e-7, "output_cost_per_token": 3e-7}


def named(id: str, wall: Wall, group: str = "", **params: Any) -> dict[str, Any]:
    return entry(id, wall, **params) | {"model_name": group or id, "model_info": {"id": id}}


def config(wall: Wall, **kernel: Any) -> dict[str, Any]:
    models = [
        named("main", wall, cooldown_time=0, **PRICE), named("spare", wall),
        named("pair-one", wall, "pair"), named("pair-two", wall, "pair"),
        named("lame", wall, cooldown_time=60),
    ]  # fmt: skip
    router = {"num_retries": 2, "fallbacks": [{"main": ["spare"]}]}
    return {"model_list": models, "router_settings": router, "general_settings": {"master_key": KEY}, "kernel": kernel}


@pytest.fixture(scope="module")
def judging(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("judge")
    limits = {"max_response_bytes": 20_000}
    with GatewayProcess(folder, config(wall, limits=limits), "--plugins", "+judge", env=plugin_folder(folder, judge=JUDGE)) as gateway:
        yield gateway


def call(gateway: GatewayProcess, text: str = "", model: str = "main", **asked: Any) -> dict[str, Any]:
    with gateway.client() as client:
        answer = client.post("/judge", json={"body": chat(text, model, **asked.pop("fields", {})), **asked})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ended(gateway: GatewayProcess, tag: str) -> dict[str, Any]:
    """The outcome of the one request that says `tag`."""

    def get() -> list[dict[str, Any]]:
        lines = (line.removeprefix("ended ") for line in gateway.logs().splitlines() if line.startswith("ended "))
        return [each for each in map(json.loads, lines) if each["text"] and tag in each["text"]]

    (found,) = eventually(get, what="the outcome")
    return found


def test_a_call_is_a_request_of_the_plugin_and_is_billed(judging: GatewayProcess, wall: Wall, tag: str) -> None:
    answer = call(judging, f"Hello. {tag}")
    assert answer["status"] == 200 and json.loads(answer["body"])["choices"][0]["message"]["content"]
    told = ended(judging, tag)
    assert (told["who"], told["status"], told["http"], told["headers"]) == (["gateway:judge", "service"], "complete", 200, [])
    assert (told["tokens"], told["cost"], told["attempts"]) == (12, "0.0000022", ["main"])
    assert wall.find(tag).header("authorization") == "Bearer sk-main"


def test_a_call_is_authorised(judging: GatewayProcess, wall: Wall, tag: str) -> None:
    answer = call(judging, f"forbidden {tag}")
    assert answer["status"] == 403 and json.loads(answer["body"])["error"]["message"] == "It is forbidden."
    assert wall.all(tag) == []


def test_a_failed_call_is_retried_and_falls_back_unless_it_is_to_be_made_once(judging: GatewayProcess, wall: Wall, tag: str) -> None:
    assert call(judging, f"wall:late-status?code=503&but=spare {tag}")["status"] == 200
    assert [each.json()["model"] for each in wall.all(tag)] == ["main", "main", "main", "spare"]
    assert call(judging, f"wall:late-status?code=503&but=spare {tag}once", once=True)["status"] == 503
    assert len(wall.all(f"{tag}once")) == 1


def test_a_deployment_can_be_asked_alone_even_while_it_rests(judging: GatewayProcess, wall: Wall, tag: str) -> None:
    wanted = ["pair-one", "pair-two", "pair-two", "pair-one", "pair-two", "pair-one"]
    for name in wanted:
        assert call(judging, f"Hello. {tag}", "pair", deployment=name)["status"] == 200
    assert [each.json()["model"] for each in wall.all(tag)] == wanted
    for _ in range(4):
        assert call(judging, "wall:html-status?code=502", "lame", deployment="lame")["status"] == 502
    with judging.client() as client:
        assert "lame (lame) cooling" in client.get("/_health/ready").text
    assert call(judging, f"wall:html-status?code=502 {tag}rests", "lame", deployment="lame")["status"] == 502
    assert call(judging, f"Hello. {tag}heals", "lame", deployment="lame")["status"] == 200
    assert (len(wall.all(f"{tag}rests")), len(wall.all(f"{tag}heals"))) == (1, 1)
    with judging.client() as client:
        assert "lame" not in client.get("/_health/ready").text


def test_the_one_deployment_must_be_of_the_model(judging: GatewayProcess, wall: Wall, tag: str) -> None:
    assert call(judging, tag, "main", deployment="spare")["status"] == 404
    assert wall.all(tag) == []


@pytest.mark.parametrize("once", [False, True])
def test_a_call_ends_in_time_and_nothing_is_tried_after(judging: GatewayProcess, wall: Wall, tag: str, once: bool) -> None:
    began = time.monotonic()
    answer = call(judging, f"wall:silent {tag}", timeout_s=0.5, once=once)
    assert answer["status"] == 504 and time.monotonic() - began < 5
    assert "took too long" in json.loads(answer["body"])["error"]["message"]
    assert len(wall.all(tag)) == 1
    told = ended(judging, tag)
    assert (told["status"], told["error"], told["attempts"]) == ("error", "gateway_timeout", ["main"])


def test_the_time_of_a_call_is_over_with_its_answer(judging: GatewayProcess, tag: str) -> None:
    assert call(judging, f"slow-bookkeeping {tag}", timeout_s=0.5)["status"] == 200
    eventually(lambda: "\nkept\n" in judging.logs(), what="the end of what runs behind the answer")


def test_a_cancelled_call_leaves_the_provider(judging: GatewayProcess, wall: Wall, tag: str) -> None:
    assert call(judging, f"wall:silent {tag}", within_s=0.5)["raised"].startswith("TimeoutError")
    assert ended(judging, tag)["status"] == "cancelled"
    eventually(wall.find(tag).closed.is_set, what="the end of the connection")


def test_an_answer_that_is_too_large_is_the_callers_error(judging: GatewayProcess, tag: str) -> None:
    found = call(judging, f"wall:drip?n=1000&ms=0 {tag}", fields={"stream": True})
    assert "max_response_bytes" in found["raised"]
    short = call(judging, f"wall:normal {tag}", fields={"stream": True})
    assert short["status"] == 200 and short["body"].endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/models"])
def test_only_what_asks_a_provider_can_be_called(judging: GatewayProcess, path: str) -> None:
    assert call(judging, path=path)["raised"] == f"ClientError: POST {path}: there is no such endpoint"


def test_a_call_takes_no_clients_place_and_a_drain_waits_for_it(wall: Wall, tmp_path: Path, tag: str) -> None:
    """The call of `lifespan` waited until the gateway served; the one that stays open at the end is answered before the plugin stops."""
    env = plugin_folder(tmp_path, judge=JUDGE.replace('"-before-the-gateway-serves"', f'" wall:gate?name={tag}"'))
    whole = config(wall, max_concurrent_requests=1)
    with GatewayProcess(tmp_path, whole, "--plugins", "+judge", env=env) as gateway:
        eventually(lambda: wall.all(tag), what="the first call")
        with gateway.client() as client:
            assert client.post("/v1/chat/completions", json=chat("Hello.", "spare")).status_code == 200
        gateway.process.terminate()
        eventually(lambda: "draining" in gateway.logs(), what="the drain")
        wall.open(tag)
        assert gateway.process.wait(20) == 0
    assert json.loads(gateway.logs().partition("\nfirst ")[2].splitlines()[0])["status"] == 200
    assert "Traceback" not in gateway.logs()
