"""What a background check asks of a deployment, what its answer means, and who sends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from routeiq_resilience.checker import checking
from routeiq_resilience.checks import CHECKER, Check, check_of
from routeiq_resilience.config import Config
from routeiq_resilience.plugin import Resilience
from routeiq_sdk import CLOCK, STATE_STORE, Attempt, ClientError, Deployment, Principal, RouteIQError
from routeiq_sdk.services import MODEL_CALLER, PEERS, Lease
from routeiq_sdk.stream import Error
from routeiq_sdk.testing import Context, FakeClock, MemoryStore, MuteStore, deployment, rc, request

GPT = "gpt-4o"


@pytest.mark.parametrize(
    ("info", "path", "fields"),
    [
        ({}, "/v1/chat/completions", {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}),
        ({"health_check_max_tokens": 5}, "/v1/chat/completions", {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 5}),
        ({"mode": "completion"}, "/v1/completions", {"prompt": "ping", "max_tokens": 1}),
        ({"mode": "embedding"}, "/v1/embeddings", {"input": "ping"}),
        ({"mode": "embedding", "health_check_max_tokens": 5}, "/v1/embeddings", {"input": "ping"}),
        ({"mode": "responses"}, "/v1/responses", {"input": "ping", "max_output_tokens": 16}),
        ({"mode": "rerank"}, "/v1/rerank", {"query": "ping", "documents": ["ping"]}),
    ],
)
def test_the_request_of_each_mode(info: dict[str, Any], path: str, fields: dict[str, Any]) -> None:
    assert check_of(deployment("m", id="one", info=info), Config()) == Check("one", path, {"model": "m", **fields}, 60.0)


def test_a_deployments_own_timeout_is_taken() -> None:
    found = check_of(deployment("m", info={"health_check_timeout": 3}), Config())
    assert isinstance(found, Check) and found.timeout_s == 3.0


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"info": {"mode": "image_generation"}}, "no cheap request of mode image_generation"),
        ({"info": {"mode": "realtime"}}, "no cheap request of mode realtime"),
        ({"info": {"disable_background_health_check": True}}, "disable_background_health_check"),
        ({"params": {"pass_client_credentials": True}, "api_key": None}, "only its clients have a key"),
        ({"group": "openai/*", "model": "*"}, "health_check_model"),
        ({"group": "fast-*", "model": "gpt-*", "info": {"health_check_model": "slow-one"}}, "health_check_model"),
    ],
)
def test_what_is_not_checked_is_said(fields: dict[str, Any], why: str) -> None:
    found = check_of(deployment(fields.pop("group", "m"), provider="openai", **fields), Config())
    assert isinstance(found, str) and why in found


def test_models_can_be_named_that_are_checked() -> None:
    config = Config(background_health_check_model_groups=("m",))
    assert isinstance(check_of(deployment("m"), config), Check)
    assert check_of(deployment("n"), config) == "not one of background_health_check_model_groups"


@pytest.mark.parametrize(
    ("group", "model", "asked", "name"),
    [
        ("openai/*", "*", "openai/gpt-4o", "openai/gpt-4o"),
        ("*", "*", "openai/gpt-4o", "gpt-4o"),
        ("fast-*", "gpt-*", "openai/gpt-4o", "fast-4o"),
        ("fast-*", "gpt-*", "fast-4o", "fast-4o"),
        ("a-*-b-*", "x-*-*", "openai/x-1-2", "a-1-b-2"),
    ],
)
def test_a_wildcard_is_asked_for_one_of_its_models(group: str, model: str, asked: str, name: str) -> None:
    found = check_of(deployment(group, provider="openai", model=model, info={"health_check_model": asked}), Config())
    assert isinstance(found, Check) and found.body["model"] == name


def state_after(kind: str, *, times: int = 1, info: dict[str, Any] | None = None, **config: Any) -> tuple[str, float | None]:
    """Of a deployment whose checks failed."""
    where, plugin = deployment("m", info=info or {}), Resilience(Config(**config))
    plugin._health.clock, plugin._health.deployments = FakeClock(), lambda: (where,)
    context = rc(request("m"), principal=Principal(id=CHECKER, kind="service"))
    for _ in range(times):
        failed = Attempt(number=1, deployment=where, outcome="error", error=Error(kind=kind, message="No."))
        plugin.on_attempt(failed, context)
    (state,) = plugin._health.status()
    return state.state, state.left_s


@pytest.mark.parametrize("kind", ["server", "authentication", "rate_limit", "timeout", "gateway_timeout"])
def test_one_failed_check_is_enough_and_the_deployment_rests_until_the_next(kind: str) -> None:
    assert state_after(kind, health_check_interval=12) == ("cooling", 12.0)


def test_a_long_interval_does_not_mean_a_long_rest() -> None:
    assert state_after("server") == ("cooling", 15.0)


@pytest.mark.parametrize("kind", ["invalid_request", "unprocessable", "draining", "not_found"])
def test_what_says_nothing_of_the_deployment_leaves_it_in_use(kind: str) -> None:
    assert state_after(kind, times=9) == ("healthy", None)


def test_an_unknown_path_counts_where_the_mode_is_stated() -> None:
    assert state_after("not_found", info={"mode": "embedding"})[0] == "cooling"


@pytest.mark.parametrize("kind", ["rate_limit", "timeout"])
def test_transient_errors_can_be_ignored(kind: str) -> None:
    assert state_after(kind, times=9, health_check_ignore_transient_errors=True)[0] == "healthy"
    assert state_after("server", health_check_ignore_transient_errors=True)[0] == "cooling"


def test_where_the_operator_counts_failures_those_of_checks_count_alike() -> None:
    assert state_after("server", times=2, allowed_fails=2)[0] == "healthy"
    assert state_after("server", times=3, allowed_fails=2)[0] == "cooling"
    policy = {"allowed_fails_policy": {"AuthenticationErrorAllowedFails": 1}}
    assert [state_after("authentication", times=times, **policy)[0] for times in (1, 2)] == ["healthy", "cooling"]
    assert state_after("server", **policy)[0] == "cooling"


class Line:
    """`Peers` of workers that share a list of handlers; those of a gateway that does not serve yet are missing."""

    def __init__(self, handlers: list[Callable[[Any], Any]]) -> None:
        self.count, self.asked, self.serves, self._handlers = 2, 0, asyncio.Event(), handlers

    def answer(self, topic: str, handler: Callable[[Any], Any]) -> None:
        self._own = handler

    async def ask(self, topic: str, value: Any = None) -> list[Any]:
        self.asked += 1
        if self.serves.is_set() and self._own not in self._handlers:
            self._handlers.append(self._own)
        return [handler(value) for handler in self._handlers]

    def tell(self, topic: str, value: Any = None) -> None: ...


class Caller:
    """Keeps what is called. While `closed`, a call does not return."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, float]] = []
        self.open, self.most, self.closed = 0, 0, False

    async def call(
        self, body: Any, *, path: str = "", deployment: str | None = None, once: bool = False, timeout_s: float = 60.0
    ) -> tuple[int, bytes]:
        self.calls.append((str(deployment), path, timeout_s))
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await (asyncio.Event().wait() if self.closed else asyncio.sleep(0))
        finally:
            self.open -= 1
        if path == "/v1/rerank":
            raise ClientError("There is no such endpoint.")
        return 200, b""


class Broken(MuteStore):
    async def lease(self, key: str, holder: str, ttl_s: float) -> Lease | None:
        raise RouteIQError("the store is gone")


@asynccontextmanager
async def worker(
    folder: Path,
    peers: Line,
    caller: Caller,
    store: MemoryStore | None = None,
    found: tuple[Deployment, ...] = (deployment("m", id="one"),),
) -> AsyncIterator[None]:
    services = {MODEL_CALLER: caller, PEERS: peers, CLOCK: FakeClock()} | ({STATE_STORE: store} if store else {})
    context = Context(folder, services=services, deployments=found)
    config = Config(background_health_checks=True, health_check_interval=0.02, health_check_concurrency=2)
    async with checking(config, context, Random(1)):
        yield


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not done():
            await asyncio.sleep(0)


async def test_nothing_is_asked_for_while_checks_are_off(tmp_path: Path) -> None:
    context = Context(tmp_path)
    async with checking(Config(), context, Random(1)):
        assert context.announced == []


async def test_nobody_checks_before_the_gateway_serves(tmp_path: Path) -> None:
    peers, caller = Line([]), Caller()
    async with worker(tmp_path, peers, caller):
        await until(lambda: peers.asked > 2)
        assert caller.calls == []
        peers.serves.set()
        await until(lambda: len(caller.calls) > 2)
    assert set(caller.calls) == {("one", "/v1/chat/completions", 60.0)}


async def test_at_most_so_many_checks_run_at_once_and_the_end_cancels_them(tmp_path: Path) -> None:
    peers, caller = Line([]), Caller()
    caller.closed = True
    peers.serves.set()
    async with worker(tmp_path, peers, caller, found=tuple(deployment(f"m{number}") for number in range(5))):
        await until(lambda: caller.open == 2)
    assert (caller.open, caller.most, len(caller.calls)) == (0, 2, 2)


async def test_a_mode_without_an_endpoint_does_not_keep_the_others_from_being_checked(tmp_path: Path) -> None:
    peers, caller = Line([]), Caller()
    peers.serves.set()
    async with worker(tmp_path, peers, caller, found=(deployment("r", info={"mode": "rerank"}), deployment("m"))):
        await until(lambda: len(caller.calls) > 4)
    assert {path for _, path, _ in caller.calls} == {"/v1/rerank", "/v1/chat/completions"}


async def test_of_gateways_that_share_a_store_one_checks_until_it_ends(tmp_path: Path) -> None:
    store, callers, lines = MemoryStore(scope="gateway"), [Caller(), Caller()], [Line([]), Line([])]
    for line in lines:
        line.serves.set()
    async with AsyncExitStack() as rest:
        async with worker(tmp_path, lines[0], callers[0], store):
            await until(lambda: len(callers[0].calls) > 1)
            await rest.enter_async_context(worker(tmp_path, lines[1], callers[1], store))
            await until(lambda: lines[1].asked > 5)
            assert callers[1].calls == []
        await until(lambda: len(callers[1].calls) > 1)


async def test_while_the_store_is_broken_each_gateway_checks_for_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    peers, caller = Line([]), Caller()
    peers.serves.set()
    async with worker(tmp_path, peers, caller, Broken()):
        await until(lambda: len(caller.calls) > 1)
    assert "the state store cannot say who checks" in caplog.text
