"""Plugins that fail while they serve: closed ones refuse, open ones are skipped and counted, and nobody sees their words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import ADMIN, CALLS, GatewayProcess, chat, error_of, litellm
from .plugins import plugin, plugin_folder
from .rawhttp import HEAD, connect, read_answer
from .wall import Wall

SECRET = "words-of-the-exception"
OPEN = "before=('auth_keys',), on_failure=FailureMode.OPEN, hook_timeout_s=0.3, capabilities=(Capability.STREAM,)"
CLOSED = OPEN.replace("OPEN", "CLOSED")
WAYS = {
    "raises": f'raise RuntimeError("{SECRET}")',
    "hangs": "await asyncio.Event().wait()",
    "wrong_type": f'return "{SECRET}"',
    "cancels": f'raise asyncio.CancelledError("{SECRET}")',
}
HOOKS = {
    "authenticate": "async def authenticate(self, headers):",
    "on_request": "async def on_request(self, request):",
    "authorize": "async def authorize(self, request):",
    "candidates": "async def candidates(self, candidates):",
    "route": "async def route(self, candidates):",
    "before_upstream": "async def before_upstream(self, call):",
    "on_response": "async def on_response(self, response):",
    "on_block": "async def on_block(self, block):",
    "on_complete": "async def on_complete(self, outcome):",
    "on_attempt": "def on_attempt(self, attempt):",
    "on_upstream_error": "async def on_upstream_error(self, failure):",
}
NOTIFY = ("on_complete", "on_attempt")
PLANS = [(hook, way) for hook, head in HOOKS.items() for way in WAYS if way != "cancels" and not (way == "hangs" and head[:3] == "def")]
"""No clock can end a plain function that hangs."""


def naughty(name: str, modes: str) -> str:
    """A plugin whose hooks fail when the request's `x-naughty` header names plugin, hook and way: `open:authorize:raises`."""
    methods = []
    for hook, head in HOOKS.items():
        args = head.replace("):", ", rc):")
        lines = [
            f'        if rc.headers.get("x-naughty") == "{name}:{hook}:{way}":\n            {body}'
            for way, body in WAYS.items()
            if (hook, way) in PLANS or way == "cancels"
        ]
        methods.append("    @hookimpl\n    " + args + "\n" + "\n".join(lines) + "\n        return None\n")
    return plugin(name, "\n".join(methods), manifest=modes)


@pytest.fixture(scope="module")
def failing(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("failing")
    env = plugin_folder(folder, ajar=naughty("ajar", OPEN), shut=naughty("shut", CLOSED))
    with GatewayProcess(folder, litellm(wall.url), "--plugins", "+ajar,+shut", env=env) as gateway:
        yield gateway


def failures(gateway: GatewayProcess, name: str, hook: str) -> int:
    with gateway.client(ADMIN) as client:
        answer = client.get(f"/admin/plugins/{name}")
    assert answer.status_code == 200, answer.text
    return sum(cell["failures"] for cell in answer.json()["meter"] if cell["hook"] == hook)


def provoke(hook: str) -> str:
    return "wall:status?code=500" if hook == "on_upstream_error" else "Hello."


@pytest.mark.parametrize(("hook", "way"), [(hook, way) for hook, way in PLANS if not (hook in NOTIFY and way == "wrong_type")])
def test_an_open_plugin_that_fails_is_skipped_and_counted(failing: GatewayProcess, hook: str, way: str) -> None:
    before = failures(failing, "ajar", hook)
    with failing.client(headers={"x-naughty": f"ajar:{hook}:{way}"}) as client:
        answer = client.post("/v1/chat/completions", json=chat(provoke(hook)))
    assert answer.status_code == (500 if hook == "on_upstream_error" else 200), answer.text
    assert SECRET not in answer.text
    if hook in NOTIFY:
        return  # off the client's path: counted when it ends
    assert failures(failing, "ajar", hook) == before + 1


@pytest.mark.parametrize("format", list(CALLS))
@pytest.mark.parametrize(("hook", "way"), [plan for plan in PLANS if plan[0] not in NOTIFY])
def test_a_closed_plugin_that_fails_ends_the_request_without_its_words(failing: GatewayProcess, hook: str, way: str, format: str) -> None:
    path, build = CALLS[format]
    before = failures(failing, "shut", hook)
    with failing.client(headers={"x-naughty": f"shut:{hook}:{way}"}) as client:
        answer = client.post(path, json=build(provoke(hook), "gpt"))
    assert answer.status_code >= 400, answer.text
    error_of(format, answer.content)
    assert SECRET not in answer.text and "Traceback" not in answer.text
    assert failures(failing, "shut", hook) == before + 1
    assert "plugin shut" in failing.logs()


@pytest.mark.parametrize("name", ["ajar", "shut"])
@pytest.mark.parametrize("hook", NOTIFY)
def test_a_notify_hook_that_fails_does_not_touch_the_request(failing: GatewayProcess, name: str, hook: str) -> None:
    for way in ("raises", "hangs"):
        with failing.client(headers={"x-naughty": f"{name}:{hook}:{way}"}) as client:
            assert client.post("/v1/chat/completions", json=chat("Hello.")).status_code == 200


@pytest.mark.parametrize("name", ["ajar", "shut"])
@pytest.mark.parametrize("way", ["raises", "wrong_type"])
def test_a_stream_whose_block_hook_fails_is_cut_with_an_error_or_goes_on(failing: GatewayProcess, oracles, name: str, way: str) -> None:
    with failing.client(headers={"x-naughty": f"{name}:on_block:{way}"}) as client:
        answer = client.post("/v1/chat/completions", json=chat("Hello.", stream=True))
    assert SECRET not in answer.text
    if name == "ajar":
        assert oracles("openai", answer.content) == []
    else:
        assert b"[DONE]" not in answer.content
        error_of("openai", answer.content if answer.status_code >= 400 else answer.content.split(b"data: ")[-1])


def test_a_plugin_that_cancels_itself_is_a_failure_of_its_own(failing: GatewayProcess) -> None:
    with failing.client(headers={"x-naughty": "shut:authorize:cancels"}) as client:
        answer = client.post("/v1/chat/completions", json=chat("Hello."))
    assert answer.status_code >= 500
    error_of("openai", answer.content)


def test_a_closed_gate_cannot_be_switched_off_by_crafted_requests(failing: GatewayProcess) -> None:
    for _ in range(12):
        with failing.client(headers={"x-naughty": "shut:authorize:raises"}) as client:
            assert client.post("/v1/chat/completions", json=chat("Hello.")).status_code >= 400
    with failing.client(headers={"x-naughty": "shut:authorize:raises"}) as client:
        assert client.post("/v1/chat/completions", json=chat("Hello.")).status_code >= 400
    with failing.client() as client:
        assert client.post("/v1/chat/completions", json=chat("Hello.")).status_code == 200


def test_readiness_shows_failing_plugins(failing: GatewayProcess) -> None:
    with failing.client(headers={"x-naughty": "ajar:on_request:raises"}) as client:
        client.post("/v1/chat/completions", json=chat("Hello."))
        ready = client.get("/_health/ready").json()
    assert ready["status"] == "degraded"
    assert ready["checks"]["plugin.ajar"]["status"] == "degraded"


def test_the_gateways_log_names_plugin_and_hook_with_the_reason(failing: GatewayProcess) -> None:
    with failing.client(headers={"x-naughty": "shut:route:raises"}) as client:
        client.post("/v1/chat/completions", json=chat("Hello."))
    assert "plugin shut, hook route" in failing.logs() and SECRET in failing.logs()


SLOW = """
    def __init__(self):
        self.next = asyncio.Event()

    @hookimpl
    async def on_complete(self, outcome, rc):
        if rc.headers.get("x-next"):
            self.next.set()
        await self.next.wait()
"""


@pytest.mark.parametrize("server", ["hypercorn", "uvicorn"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_slow_notify_hook_does_not_hold_up_the_next_request_of_its_connection(
    wall: Wall, tmp_path: Path, server: str, stream: bool
) -> None:
    env = plugin_folder(tmp_path, slow=plugin("slow", SLOW, manifest="hook_timeout_s=20"))
    with (
        GatewayProcess(tmp_path, litellm(wall.url), "--plugins", "+slow", "--server", server, env=env) as gateway,
        connect(gateway) as connection,
    ):
        for more in ("", "X-Next: 1\r\n"):
            body = json.dumps(chat("Hello.", stream=stream))
            connection.sendall(f"{HEAD}{more}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            answer = read_answer(connection)
            assert (answer.status, answer.headers.get("connection")) == (200, None)
        assert failures(gateway, "slow", "on_complete") == 0


LEAKS = """
    def __init__(self):
        self.tasks = []

    @hookimpl
    async def authorize(self, request):
        self.tasks.append(asyncio.create_task(asyncio.Event().wait()))

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx):
        yield
        raise RuntimeError("cannot leave")
"""


def test_a_plugin_that_leaks_tasks_and_fails_to_leave_does_not_hold_up_the_end(wall: Wall, tmp_path: Path) -> None:
    leaky = plugin("leaky", LEAKS, imports="from contextlib import asynccontextmanager")
    env = plugin_folder(tmp_path, leaky=leaky)
    with GatewayProcess(tmp_path, litellm(wall.url), "--plugins", "+leaky", env=env) as gateway, gateway.client() as client:
        assert client.post("/v1/chat/completions", json=chat("Hello.")).status_code == 200
        client.close()
        gateway.process.terminate()
        assert gateway.process.wait(10) == 0
    assert "leaky" in gateway.logs() and "cannot leave" in gateway.logs()


DENIES = {
    "authorize": 'async def authorize(self, request):\n        return Deny("the_rule", "Not today.", 418, 9.0)',
    "on_block": 'async def on_block(self, block):\n        return Deny("the_rule", "Not today.")',
    "on_stream_event": "def on_stream_event(self, event):\n        if isinstance(event, stream.BlockDelta):\n"
    '            return Deny("the_rule", "Not today.")',
}


@pytest.mark.parametrize("hook", list(DENIES))
def test_a_denial_names_its_rule_in_the_clients_format(wall: Wall, tmp_path: Path, hook: str) -> None:
    source = plugin("denier", f"    @hookimpl\n    {DENIES[hook]}\n", manifest="capabilities=(Capability.STREAM,)")
    with GatewayProcess(tmp_path, litellm(wall.url), "--plugins", "+denier", env=plugin_folder(tmp_path, denier=source)) as gateway:
        for format, (path, build) in CALLS.items():
            for stream in (False, True):
                with gateway.client() as client:
                    answer = client.post(path, json=build("Hello.", "gpt", stream=stream))
                body = answer.content if answer.status_code != 200 else answer.content.split(b"data: ")[-1]
                error = error_of(format, body)
                assert error["message"] == "Not today."
                assert format == "anthropic" or error["code"] == "the_rule"
                assert b"[DONE]" not in answer.content and b"message_stop" not in answer.content
                if hook == "authorize":
                    assert answer.status_code == 418 and answer.headers["retry-after"] == "9"
                elif not stream:
                    assert answer.status_code == 403
