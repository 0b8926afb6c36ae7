"""Load balancing as clients see it: which deployment gets a request, by each strategy, on streams that stay raw."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from .harness import GatewayProcess, chat, eventually, litellm, message
from .plugins import plugin, plugin_folder
from .wall import Wall

NAMES = (
    "simple-shuffle", "least-busy", "latency-based-routing", "usage-based-routing", "usage-based-routing-v2", "cost-based-routing",
    "sticky-session", "prompt-cache-affinity",
)  # fmt: skip
SYSTEM = "You are a careful assistant of a test. " * 200
WITNESS = plugin(
    "witness",
    """
    @hookimpl
    async def on_complete(self, outcome, rc):
        if rc.plan:
            scores = {each.model: rc.plan.scores.get(each.id) for each in rc.plan.order}
            print("PLAN", rc.headers.get("x-tag"), json.dumps([rc.plan.reason, scores]), flush=True)
""",
    imports="import json",
)


def deployments(wall: Wall, names: str, **fields: Any) -> list[dict[str, Any]]:
    """The group `m`: a deployment for each letter, whose model has its name; each keyword is a field, with a value for each."""
    return [
        {
            "model_name": "m",
            "litellm_params": {"model": f"openai/{name}", "api_base": f"{wall.url}/v1", "api_key": "sk-any"}
            | {key: values[place] for key, values in fields.items() if values[place] is not None},
        }
        for place, name in enumerate(names)
    ]


def routed(
    wall: Wall, strategy: str, names: str, *, kernel: Any = None, plugins: Any = None, args: Any = None, checks: Any = (), **fields: Any
) -> Any:
    config = litellm(wall.url, debug_headers=True, **(kernel or {}))
    config["model_list"] = deployments(wall, names, **fields)
    config["router_settings"] = {"routing_strategy": strategy, "optional_pre_call_checks": list(checks), "disable_cooldowns": True}
    config["router_settings"] |= {"routing_strategy_args": args} if args else {}
    config["plugins"] = {"routing_core": {"seed": 7, **(plugins or {})}}
    return config


def took(wall: Wall, tag: str) -> list[str]:
    """The deployments that got the requests of this tag, in their order."""
    return [each.json()["model"] for each in wall.all(tag)]


def ask(client: httpx.Client, text: str, **options: Any) -> httpx.Response:
    answer = client.post("/v1/chat/completions", json=chat(text, "m", **options.pop("body", {})), **options)
    assert answer.status_code == 200, answer.text
    return answer


class Held:
    """Streams that the fake provider keeps open."""

    def __init__(self, gateway: GatewayProcess, wall: Wall, tag: str) -> None:
        self.wall, self.tag, self.stack = wall, tag, ExitStack()
        self.client = self.stack.enter_context(gateway.client())
        self.streams: list[httpx.Response] = []

    def hold(self, count: int, prompt: str = "", **options: Any) -> None:
        for _ in range(count):
            body = chat(f"{prompt} wall:gate?name={self.tag} {self.tag}", "m", stream=True)
            answer = self.stack.enter_context(self.client.stream("POST", "/v1/chat/completions", json=body, **options))
            assert answer.status_code == 200
            self.streams.append(answer)

    def by_model(self) -> Counter[str]:
        return Counter(took(self.wall, self.tag))


@pytest.mark.parametrize("strategy", NAMES)
def test_a_lower_order_comes_first_and_streams_stay_raw(strategy: str, wall: Wall, tmp_path: Path, tag: str) -> None:
    config = routed(wall, strategy, "abc", order=(2, 1, None), checks=["prompt_caching"])
    with GatewayProcess(tmp_path, config) as gateway, gateway.client() as client:
        for number in range(8):
            body = {"stream": bool(number % 2), "user": str(number)}
            answer = ask(client, f"{SYSTEM} {tag}", body=body)
            assert answer.headers["x-routeiq-path"] == "raw"
    assert took(wall, tag) == ["b"] * 8


def test_simple_shuffle_follows_the_weights(wall: Wall, tmp_path: Path, tag: str) -> None:
    with GatewayProcess(tmp_path, routed(wall, "simple-shuffle", "abc", weight=(3, 1, 0))) as gateway, gateway.client() as client:
        for _ in range(200):
            ask(client, tag)
    counted = Counter(took(wall, tag))
    assert counted["a"] / 200 == pytest.approx(0.75, abs=0.12)
    assert counted["c"] == 0


@pytest.fixture(scope="module")
def least_busy(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("least_busy")
    env = plugin_folder(folder, witness=WITNESS)
    with GatewayProcess(folder, routed(wall, "least-busy", "abc"), "--plugins", "+witness", env=env) as gateway:
        yield gateway


def test_least_busy_counts_streams_as_long_as_they_run(least_busy: GatewayProcess, wall: Wall, tag: str) -> None:
    held = Held(least_busy, wall, tag)
    with held.stack:
        held.hold(9)
        assert held.by_model() == {"a": 3, "b": 3, "c": 3}
        order = took(wall, tag)
        for answer, model in zip(held.streams, order, strict=True):
            if model == "b":
                answer.close()
        eventually(lambda: [each.closed_s for each in wall.all(tag) if each.json()["model"] == "b"].count(None) == 0)
        held.hold(3)
        assert took(wall, tag)[9:] == ["b"] * 3
        wall.open(tag)


def test_least_busy_forgets_requests_that_failed(least_busy: GatewayProcess, wall: Wall, tag: str) -> None:
    with least_busy.client() as client:
        for fault in ("html-status?code=500", "reset", "cut", "garbage", "error-event", "normal"):
            for stream in (False, True):
                client.post("/v1/chat/completions", json=chat(f"wall:{fault} {tag}", "m", stream=stream), headers={"x-tag": tag})
        eventually(lambda: len(plans(least_busy, tag)) == 12)
        ask(client, f"{tag} last", headers={"x-tag": f"{tag}-last"})
    [(reason, scores)] = eventually(lambda: plans(least_busy, f"{tag}-last"))
    assert reason == "least-busy with 0 of 0 in flight"
    assert scores == {"a": 0.0, "b": 0.0, "c": 0.0}


def plans(gateway: GatewayProcess, tag: str) -> list[list[Any]]:
    found = [line.partition(f"PLAN {tag} ")[2] for line in gateway.logs().splitlines() if f"PLAN {tag} " in line]
    return [json.loads(each) for each in found]


def test_latency_based_routing_prefers_the_deployment_that_answers_sooner(wall: Wall, tmp_path: Path, tag: str) -> None:
    class Uneven(Wall):
        """The model `slow` answers once the gate is open."""

        async def _respond(self, exchange: Any) -> None:
            if exchange.json()["model"] == "s":
                await self.gates["slow"].wait()
            await super()._respond(exchange)

    with ExitStack() as stack:
        uneven = stack.enter_context(Uneven())
        gateway = stack.enter_context(GatewayProcess(tmp_path, routed(uneven, "latency-based-routing", "fs")))
        client, pool = stack.enter_context(gateway.client()), stack.enter_context(ThreadPoolExecutor(4))
        waiting = [pool.submit(ask, client, f"{tag} wait") for _ in range(2)]
        eventually(lambda: "s" in took(uneven, tag))
        for _ in range(10):
            ask(client, f"{tag} first")
        uneven.open("slow")
        assert [each.result().status_code for each in waiting] == [200, 200]
        for _ in range(10):
            ask(client, f"{tag} then")
    assert took(uneven, f"{tag} first") == ["f"] * 10
    assert took(uneven, f"{tag} then") == ["f"] * 10


@pytest.mark.parametrize("strategy", ["usage-based-routing", "usage-based-routing-v2"])
def test_usage_based_routing_follows_the_limits(strategy: str, wall: Wall, tmp_path: Path, tag: str) -> None:
    """Each answer says that it used 12 tokens."""
    with (
        GatewayProcess(tmp_path, routed(wall, strategy, "abc", tpm=(1200, 3600, None), rpm=(None, None, 4))) as gateway,
        gateway.client() as client,
    ):
        for _ in range(41):
            ask(client, tag)
    counted = Counter(took(wall, tag))
    assert counted["c"] <= 8, "a minute, or two where one begins meanwhile"
    assert counted["b"] / counted["a"] == pytest.approx(3, abs=0.8)


def test_cost_based_routing_takes_the_cheapest(wall: Wall, tmp_path: Path, tag: str) -> None:
    price = (None, 3e-6, 1e-6, 2e-6)
    config = routed(wall, "cost-based-routing", "xabc", input_cost_per_token=price, output_cost_per_token=price)
    folder = plugin_folder(tmp_path, witness=WITNESS)
    with GatewayProcess(tmp_path, config, "--plugins", "+witness", env=folder) as gateway, gateway.client() as client:
        for _ in range(5):
            ask(client, tag, headers={"x-tag": tag})
        eventually(lambda: len(plans(gateway, tag)) == 5)
        reason, scores = plans(gateway, tag)[0]
    assert took(wall, tag) == ["b"] * 5
    assert reason == "cost-based-routing at $1 for a million tokens"
    assert list(scores.items()) == [("b", 1.0), ("c", 2.0), ("a", 3.0), ("x", None)]


def test_cost_based_routing_does_not_start_without_prices(wall: Wall, tmp_path: Path) -> None:
    status, said = GatewayProcess(tmp_path, routed(wall, "cost-based-routing", "ab"), "--plugins", "-prices").fails()
    assert status != 0
    assert "cost-based-routing needs a price book: enable the plugin prices" in said


SESSIONS: dict[str, dict[str, Any]] = {
    "x-routeiq-session": {"headers": {"x-routeiq-session": "{}"}},
    "x-session-id": {"headers": {"x-session-id": "{}"}},
    "user": {"body": {"user": "{}"}},
    "metadata": {"body": {"metadata": {"session_id": "{}"}}},
}


def test_sessions_stay_where_they_are_in_all_workers_and_after_a_restart(wall: Wall, tmp_path: Path, tag: str) -> None:
    config = routed(wall, "sticky-session", "abcd")
    homes: dict[str, set[str]] = {}
    for _ in range(2):
        with GatewayProcess(tmp_path, config, "--workers", "2") as gateway:
            for number in range(20):
                where = list(SESSIONS.values())[number % 4]
                for _ in range(2):
                    with gateway.client() as client:
                        ask(client, f"{tag}-{number}-", **filled(where, f"session-{number}"))
                homes.setdefault(str(number), set()).update(took(wall, f"{tag}-{number}-"))
    assert {name: len(found) for name, found in homes.items() if len(found) != 1} == {}
    assert len({model for found in homes.values() for model in found}) > 2


def filled(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: filled(each, name) for key, each in value.items()}
    return value.replace("{}", name)


def test_when_a_deployment_goes_only_its_sessions_move(wall: Wall, tmp_path: Path, tag: str) -> None:
    homes: list[dict[int, str]] = []
    for names in ("abcd", "abc"):
        with GatewayProcess(tmp_path, routed(wall, "sticky-session", names)) as gateway, gateway.client() as client:
            for number in range(40):
                ask(client, f"{tag}-{names}-{number}-", headers={"x-session-id": str(number)})
            homes.append({number: took(wall, f"{tag}-{names}-{number}-")[0] for number in range(40)})
    before, after = homes
    assert {number for number in before if before[number] != after[number]} == {number for number in before if before[number] == "d"}


@pytest.mark.parametrize("strategy", ["prompt-cache-affinity", "least-busy"])
def test_a_conversation_stays_where_its_prompt_is_cached(strategy: str, wall: Wall, tmp_path: Path, tag: str) -> None:
    config = routed(wall, strategy, "abcd", checks=["prompt_caching"])
    with GatewayProcess(tmp_path, config) as gateway, gateway.client() as client:
        for talk in range(8):
            name = f"{tag}-{talk}-"
            turns: list[dict[str, str]] = [{"role": "system", "content": f"{name} {SYSTEM}"}]
            for turn in range(4):
                turns.append({"role": "user", "content": f"Question {turn}"})
                answer = client.post("/v1/chat/completions", json={"model": "m", "messages": turns, "stream": bool(turn % 2)})
                assert answer.status_code == 200
                turns.append({"role": "assistant", "content": f"Answer {turn}"})
            assert len(set(took(wall, name))) == 1, "a turn went elsewhere"
    assert len(set(took(wall, tag))) > 1


def test_marked_prompts_of_anthropic_stay_where_they_are_cached(wall: Wall, tmp_path: Path, tag: str) -> None:
    config = routed(wall, "simple-shuffle", "", checks=["prompt_caching"])
    params = {"api_base": wall.url, "api_key": "sk-any"}
    config["model_list"] = [{"model_name": "m", "litellm_params": {"model": f"anthropic/{name}", **params}} for name in "abcd"]
    mark = {"cache_control": {"type": "ephemeral"}}
    with GatewayProcess(tmp_path, config) as gateway, gateway.client() as client:
        for marked in (True, False):
            for number in range(12):
                system = [{"type": "text", "text": f"{tag}-{marked}- {SYSTEM}", **(mark if marked else {})}]
                answer = client.post("/v1/messages", json=message(f"Question {number}", "m", system=system))
                assert answer.status_code == 200, answer.text
    assert len(set(took(wall, f"{tag}-True-"))) == 1
    assert len(set(took(wall, f"{tag}-False-"))) > 1


def test_a_prompt_that_everybody_shares_spills_before_its_home_is_overloaded(wall: Wall, tmp_path: Path, tag: str) -> None:
    with GatewayProcess(tmp_path, routed(wall, "prompt-cache-affinity", "abcd")) as gateway:
        held = Held(gateway, wall, tag)
        with held.stack:
            held.hold(20, SYSTEM)
            counted = held.by_model()
            wall.open(tag)
    assert sum(counted.values()) == 20
    assert 5 < max(counted.values()) <= 7, "most at home, and at most 1.25 of the mean of 20 requests over 4 deployments"


def test_settings_without_effect_are_named(wall: Wall, tmp_path: Path) -> None:
    config = routed(wall, "least-busy", "ab", args={"ttl": 5}, checks=["prompt_caching", "router_budget_limiting"])
    with GatewayProcess(tmp_path, config) as gateway:
        for said in ("routing_strategy_args: ttl", "optional_pre_call_checks: router_budget_limiting"):
            assert eventually(lambda said=said: f"router_settings.{said} has no effect" in gateway.logs())


@pytest.mark.parametrize("value", ["soon", -1, True])
def test_a_wrong_argument_of_a_strategy_is_an_error(value: Any, wall: Wall, tmp_path: Path) -> None:
    config = routed(wall, "latency-based-routing", "ab", args={"ttl": value})
    status, said = GatewayProcess(tmp_path, config).fails()
    assert status != 0
    assert "router_settings.routing_strategy_args.ttl: expected a number" in said
