"""Sums of counters, their bounds, and the pages in which workers tell them."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routeiq_gateway_status import pages
from routeiq_gateway_status.counts import Row, Spread, is_unknown
from routeiq_gateway_status.health import endpoints, health, packed, providers
from routeiq_gateway_status.metrics import MAX_SERIES, Metrics, Sum
from routeiq_gateway_status.plugin import Config, GatewayStatus
from routeiq_sdk import Outcome, Principal
from routeiq_sdk.services import DeploymentState
from routeiq_sdk.stream import Cost, Error, UsageParts
from routeiq_sdk.testing import deployment, rc, request

LABELS = ("agent", "provider", "model", "project")


def outcome(usd: str | None = "0.1", **fields: Any) -> Outcome:
    usage = UsageParts(input=3, cache_read=2, cache_write=1, cache_write_1h=4, output=5, reasoning=6)
    given = {"status": "complete", "usage": usage, "cost": Cost(usd=None if usd is None else Decimal(usd)), "duration_s": 1.0}
    return Outcome(**{**given, "first_token_s": 0.5, "deployment": deployment(), "model": "m", **fields})


def row(ended: Outcome, priced: bool = True) -> Row:
    made = Row()
    made.take(ended, is_unknown(ended, priced))
    return made


def total(*workers: Metrics) -> Sum:
    """By way of JSON, as between workers."""
    return Sum(json.loads(json.dumps([worker.packed() for worker in workers])))


def record(metrics: Metrics, ended: Outcome, *labels: str, limit: int = 100) -> None:
    metrics.record("req", labels or LABELS, ended, priced=True, limit=limit)


@given(st.lists(st.decimals(min_value=0, max_value=1000, places=15), max_size=30))
def test_costs_add_up_exactly(costs: list[Decimal]) -> None:
    one, two = Metrics(), Metrics()
    for number, usd in enumerate(costs):
        record((one, two)[number % 2], outcome(str(usd)))
    assert Decimal(total(one, two).summary()["total_cost_usd"]) == sum(costs)


def test_small_costs_are_not_lost_beside_large_ones() -> None:
    metrics = Metrics()
    for usd in ("123456789012345", "0.000000000000000000000001"):
        record(metrics, outcome(usd))
    assert total(metrics).summary()["total_cost_usd"] == "123456789012345.000000000000000000000001"


@pytest.mark.parametrize(
    ("ended", "priced", "unknown"),
    [
        (outcome(None), True, 1),
        (outcome("0"), True, 0),
        (outcome(cost=None, usage=None), True, 0),
        (outcome(cost=None), False, 1),
        (outcome(cost=None, usage=None, first_token_s=None, deployment=None), False, 0),
    ],
)
def test_unknown_costs_are_counted_apart(ended: Outcome, priced: bool, unknown: int) -> None:
    told = row(ended, priced).told()
    assert (told["unknown_cost"], told["cost_usd"]) == (unknown, "0")


def test_tokens_of_all_kinds_are_in_the_total() -> None:
    assert row(outcome()).told()["tokens"] == {
        "input": 3, "cache_read": 2, "cache_write": 5, "output": 5, "reasoning": 6, "total": 21,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "name"), [("error", "errors"), ("truncated", "errors"), ("cancelled", "cancelled"), ("denied", "denied")]
)
def test_an_end_is_counted_as_what_it_was(status: str, name: str) -> None:
    told = row(outcome(status=status)).told()
    assert {each: told[each] for each in ("errors", "cancelled", "denied")} == {"errors": 0, "cancelled": 0, "denied": 0, name: 1}
    assert told["latency_ms"]["p50"] is None


@given(st.lists(st.floats(min_value=0.001, max_value=3600), min_size=1, max_size=200))
def test_percentiles_are_right_to_within_five_percent(durations: list[float]) -> None:
    spread = Spread()
    for seconds in durations:
        spread.take(seconds)
    ordered = sorted(durations)
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
        exact = ordered[-(-len(ordered) * share // 100) - 1] * 1000
        told = spread.told()[name]
        assert told is not None and 0.95 * exact <= told <= 1.05 * exact + 0.001


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, 1e9])
def test_odd_durations_have_a_bucket(seconds: float) -> None:
    spread = Spread()
    spread.take(seconds)
    assert spread.told()["p99"] is not None


def test_nothing_measured_is_not_zero() -> None:
    assert set(Spread().told().values()) == {None}


def test_values_are_bounded_each_for_itself() -> None:
    metrics = Metrics()
    for number in range(10):
        record(metrics, outcome(), f"agent-{number}", "p", "m", "none", limit=4)
    found = total(metrics)
    assert {name: row["requests"] for name, row in found.by("agent").items()} == {
        "other": 6,
        **{f"agent-{number}": 1 for number in range(4)},
    }
    assert (found.overflow, found.by("model")["m"]["requests"]) == ({"agent": 6, "provider": 0, "model": 0, "project": 0}, 10)


def test_combinations_are_bounded_too() -> None:
    metrics = Metrics()
    for number in range(MAX_SERIES + 5):
        record(metrics, outcome(), str(number % 101), "p", str(number % 103), "none", limit=500)
    found = total(metrics)
    assert (found.summary()["total_requests"], found.by("provider")["other"]["requests"]) == (MAX_SERIES + 5, 5)
    assert set(found.overflow.values()) == {5}


def test_long_names_are_cut() -> None:
    metrics = Metrics()
    record(metrics, outcome(), "x" * 10_000, "p", "m", "none")
    assert [*total(metrics).by("agent")] == ["x" * 64]


def test_a_reset_forgets_everything() -> None:
    metrics = Metrics()
    record(metrics, outcome())
    metrics.reset()
    assert (total(metrics).summary()["total_requests"], total(metrics).by("agent"), metrics.recent()) == (0, {}, [])


class Wire:
    """`PEERS` of several workers in one place; no value is longer than what the kernel passes on."""

    def __init__(self) -> None:
        self.count = 0
        self.handlers: list[dict[str, Callable[[Any], Any]]] = []

    def worker(self) -> Any:
        self.handlers.append({})
        self.count += 1
        mine, wire = self.handlers[-1], self

        class Peers:
            count = property(lambda _: wire.count)

            def answer(self, topic: str, handler: Callable[[Any], Any]) -> None:
                mine[topic] = handler

            async def ask(self, topic: str, value: Any = None) -> list[Any]:
                answers = [json.dumps(each[topic](value)) for each in wire.handlers if topic in each]
                assert max(map(len, answers)) < 64 * 1024
                return [json.loads(text) for text in answers]

        return Peers()


@pytest.mark.parametrize("sizes", [(0, 0), (3, 0), (500, 2000, 1), (1000,)])
async def test_lists_of_any_length_arrive_whole_and_in_order(sizes: tuple[int, ...]) -> None:
    wire = Wire()
    lists = [[f"{worker}-{number}-{'x' * 100}" for number in range(size)] for worker, size in enumerate(sizes)]
    for worker, items in enumerate(lists):
        peers = wire.worker()
        pages.serve(peers, str(worker), "list", lambda items=items: items)
    assert await pages.gather(peers, "list") == lists


def test_a_deployment_is_shown_in_its_worst_state() -> None:
    one, two = deployment("a", id="a"), deployment("b", id="b", provider="other")
    error = Error(kind="overloaded", message="Too much. " * 100)
    well = [DeploymentState(deployment=one), DeploymentState(deployment=two)]
    ill = [
        DeploymentState(
            deployment=one, state="cooling", left_s=3.0, failures=4, error_rate=0.51239, last_error=error, last_error_time_s=1.0
        )
    ]
    found = health((one, two), json.loads(json.dumps([packed(well), packed(ill)])))
    assert (found["status"], [each["state"] for each in found["deployments"]]) == ("degraded", ["cooling", "healthy"])
    assert found["deployments"][0]["workers"] == {"cooling": 1, "healthy": 1}
    assert found["deployments"][0]["last_error"]["status"] == 503 and len(found["deployments"][0]["last_error"]["message"]) == 300
    assert (found["providers"]["fake"]["status"], found["providers"]["other"]["status"]) == ("down", "healthy")


def test_without_a_judge_states_are_unknown() -> None:
    found = health((deployment(),), [[], []])
    assert (found["status"], found["deployments"][0]["state"]) == ("healthy", "unknown")


def test_litellms_lists_hold_no_credential_of_an_address() -> None:
    well, ill = deployment("m", id="well", api_base="https://me:secret@host.test:8/v1?key=secret"), deployment("m", id="ill", model="x")
    states = [
        DeploymentState(deployment=well),
        DeploymentState(deployment=ill, state="probing", last_error=Error(kind="server", message="No.")),
    ]
    assert endpoints((well, ill), [packed(states)], details=True) == {
        "healthy_endpoints": [{"model": "fake/m", "api_base": "https://host.test:8/v1", "model_name": "m", "model_id": "well"}],
        "unhealthy_endpoints": [{"model": "fake/x", "error": "server: No.", "model_name": "m", "model_id": "ill"}],
        "healthy_count": 1,
        "unhealthy_count": 1,
    }
    assert endpoints((well, ill), [packed(states)], details=False)["healthy_endpoints"] == [{"model": "fake/m"}]
    assert endpoints((well,), [[]], details=True)["healthy_count"] == 0


def test_providers_in_the_order_of_the_configuration() -> None:
    found = providers((deployment("b", provider="two"), deployment("a", provider="one"), deployment("c", provider="two")))
    assert [(each["name"], each["default_model"], each["models"]) for each in found] == [("two", "b", ["b", "c"]), ("one", "a", ["a"])]


@pytest.mark.parametrize(
    ("principal", "headers", "project"),
    [
        (Principal(id="k", attributes={"project": "of-the-key"}), {"x-routeiq-project": "claimed"}, "of-the-key"),
        (Principal(id="k"), {"x-routeiq-project": "claimed", "openai-project": "p2"}, "claimed"),
        (Principal(id="k"), {"openai-project": "p2"}, "p2"),
        (Principal(id="k"), {}, "none"),
        (None, {"x-routeiq-project": "claimed"}, "none"),
    ],
)
async def test_the_keys_project_comes_before_the_clients_word(principal: Principal | None, headers: dict[str, str], project: str) -> None:
    plugin = GatewayStatus(Config())
    await plugin.on_complete(outcome(), rc(request(), headers=headers, principal=principal))
    [_, (*labels, _)] = plugin.metrics.packed()
    assert labels == ["unknown", "fake", "m", project]
