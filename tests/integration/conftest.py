"""One fake provider for all tests; one gateway for those that do not disturb it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from routeiq_sdk.testing import oracle

from .forwarding import Provider
from .harness import GatewayProcess, litellm
from .wall import Wall


@pytest.fixture(scope="session")
def wall() -> Iterator[Wall]:
    with Wall() as wall:
        yield wall


@pytest.fixture(scope="session")
def gateway(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """With LiteLLM's configuration of two OpenAI-compatible deployments, one of Anthropic and the demo model."""
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), litellm(wall.url, debug_headers=True)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def one() -> Iterator[Provider]:
    """With `two`, the providers of what is passed on."""
    with Provider("a") as provider:
        yield provider


@pytest.fixture(scope="module")
def two() -> Iterator[Provider]:
    with Provider("b") as provider:
        yield provider


@pytest.fixture
def tag() -> str:
    """A word that marks one test's requests."""
    return f"tag{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def gateway_with_defaults(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Request defaults in `litellm_params`, and a wildcard name."""
    params = {"api_base": f"{wall.url}/v1", "api_key": "sk-any"}
    config = litellm(wall.url)
    config["model_list"] = [
        {"model_name": "gpt", "litellm_params": {"model": "openai/gpt-real", "temperature": 0.25, **params}},
        {"model_name": "openai/*", "litellm_params": {"model": "openai/*", **params}},
    ]
    with GatewayProcess(tmp_path_factory.mktemp("defaults"), config) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def oracles() -> Callable[[str, bytes], list[str]]:
    """The stream rules of each format, from the codecs that are installed."""
    return oracle


@pytest.fixture(scope="session")
def impatient(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway whose time limits are short: a second for the first token, a second of silence, keepalives every 0.3 s.
    The model `patient` may take as long as it likes for its first token. Nothing is retried: what it shows is the kernel's own."""
    timeouts = {
        "connect_s": 1,
        "first_token_s": 1,
        "idle_s": 1,
        "total_s": 3,
        "headers_after_s": 0.3,
        "keepalive_s": 0.3,
        "send_stall_s": 1,
    }
    config = litellm(wall.url, timeouts=timeouts, limits={"body_timeout_s": 1})
    params = {"api_base": f"{wall.url}/v1", "api_key": "sk-any"}
    config["model_list"] += [
        {"model_name": "patient", "litellm_params": {"model": "openai/patient", "stream_timeout": 60, **params}},
        {"model_name": "nobody", "litellm_params": {"model": "openai/nobody", "api_key": "sk-any", "api_base": "http://127.0.0.1:9/v1"}},
        {
            "model_name": "blackhole",
            "litellm_params": {"model": "openai/blackhole", "api_key": "sk-any", "api_base": "http://192.0.2.1/v1"},
        },
    ]
    with GatewayProcess(tmp_path_factory.mktemp("impatient"), config, "--plugins", "-resilience") as gateway:
        yield gateway
