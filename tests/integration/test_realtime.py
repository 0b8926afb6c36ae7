"""Realtime over WebSocket: a real `websockets` server is the provider, and a real `websockets` client speaks to the gateway."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.http11 import Request, Response
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from .harness import ADMIN, KEY, GatewayProcess, eventually
from .plugins import plugin, plugin_folder

WATCHER = plugin(
    "watcher",
    """
    @hookimpl
    async def authorize(self, request, rc):
        if request.model == "forbidden":
            return Deny("no_model", "Not this model.")

    @hookimpl
    async def on_complete(self, outcome, rc):
        usage = outcome.usage
        print("OUTCOME", rc.operation, outcome.status, outcome.http_status, outcome.model, outcome.deployment.model,
              usage.total() if usage else None, outcome.path, flush=True)
""",
)


def chosen(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return offered[0] if offered else None


class Realtime:
    """Echoes; `close:CODE`, `cut` and `usage` say to do otherwise."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.open: set[ServerConnection] = set()
        self._server = serve(self._handle, "127.0.0.1", 0, process_request=self._asked, select_subprotocol=chosen, max_size=None)
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self._server.serve_forever)
        self.thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self.thread.join(10)

    def _asked(self, _connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if "model=refused" in request.path:
            return Response(HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests", Headers(), b"slow down")
        return None

    def _handle(self, connection: ServerConnection) -> None:
        self.open.add(connection)
        try:
            for message in connection:
                if isinstance(message, str) and message.startswith("close:"):
                    return connection.close(int(message[6:]))
                if message == "cut":
                    return connection.socket.close()
                if message == "usage":
                    message = json.dumps({"type": "response.done", "response": {"usage": {"input_tokens": 10, "output_tokens": 5}}})
                connection.send(message)
        except ConnectionClosed:
            pass
        finally:
            self.open.discard(connection)


@pytest.fixture(scope="module")
def provider() -> Iterator[Realtime]:
    made = Realtime()
    yield made
    made.stop()


@pytest.fixture(scope="module", params=["hypercorn", "uvicorn"])
def gateway(request: Any, provider: Realtime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("realtime")
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": real, "api_base": f"{provider.url}/v1", "api_key": "sk-of-a"}}
            for name, real in (("voice", "openai/gpt-realtime"), ("busy", "openai/refused"), ("forbidden", "openai/x"))
        ]
        + [{"model_name": "live", "litellm_params": {"model": "gemini/live", "api_base": provider.url, "api_key": "sk-of-g"}}],
        "general_settings": {"master_key": KEY},
        "kernel": {"plugins": "+watcher", "max_concurrent_requests": 4, "server": request.param},
    }
    with GatewayProcess(folder, config, env=plugin_folder(folder, watcher=WATCHER)) as gateway:
        yield gateway


def session(gateway: GatewayProcess, query: str = "model=voice", key: str = KEY, **options: Any) -> ClientConnection:
    url = gateway.url.replace("http", "ws")
    return connect(f"{url}/v1/realtime?{query}", additional_headers={"authorization": f"Bearer {key}"}, proxy=None, **options)


def admitted(gateway: GatewayProcess) -> int:
    with gateway.client() as client:
        return int(client.get("/admin/status", headers={"x-admin-api-key": ADMIN}).json()["admitted"])


def test_messages_pass_both_ways(gateway: GatewayProcess, provider: Realtime) -> None:
    with session(gateway, "model=voice&x=%20y&key=sk-client", subprotocols=[Subprotocol("realtime")]) as client:
        for message in ('{"type": "session.update",  "n": 1.50}', "é" * 70_000, b"\x00\xff" * 100_000, "usage"):
            client.send(message)
            answer = client.recv()
            assert answer == message or json.loads(answer)["type"] == "response.done"
        client.send("usage")
        client.recv()
        assert client.subprotocol == "realtime"
        assert admitted(gateway) == 1
    asked = provider.requests[-1]
    assert asked.path == "/v1/realtime?model=gpt-realtime&x=%20y"
    assert asked.headers["authorization"] == "Bearer sk-of-a"
    eventually(lambda: admitted(gateway) == 0 and not provider.open, 5, "both sides closed")
    eventually(lambda: "OUTCOME realtime complete 101 voice gpt-realtime 30 forward" in gateway.logs(), what=gateway.logs())


@pytest.mark.parametrize("code", [1000, 1001, 4001])
def test_the_providers_close_code_reaches_the_client(gateway: GatewayProcess, code: int) -> None:
    with session(gateway) as client:
        client.send(f"close:{code}")
        with pytest.raises(ConnectionClosedOK if code < 1002 else ConnectionClosedError) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == code


def test_a_session_that_breaks_is_no_session_that_ended(gateway: GatewayProcess) -> None:
    with session(gateway) as client:
        client.send("cut")
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=10)
    eventually(lambda: "OUTCOME realtime truncated 101" in gateway.logs())


@pytest.mark.parametrize(
    ("query", "key", "status"),
    [
        ("model=voice", "sk-wrong", 401),
        ("model=forbidden", KEY, 403),
        ("model=nobody", KEY, 404),
        ("model=busy", KEY, 429),
    ],
)
def test_a_refused_handshake_says_why(gateway: GatewayProcess, query: str, key: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused, session(gateway, query, key):
        pass
    assert refused.value.response.status_code == status
    assert refused.value.response.headers["x-request-id"]
    assert json.loads(refused.value.response.body)["error"]["message"]
    eventually(lambda: admitted(gateway) == 0)


def test_keys_in_subprotocols_stay_here(gateway: GatewayProcess, provider: Realtime) -> None:
    offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.sk-client")]
    with session(gateway, subprotocols=offered) as client:
        client.send("hello")
        assert client.recv() == "hello"
    assert provider.requests[-1].headers["sec-websocket-protocol"] == "realtime"


def test_sockets_pass_through_to_their_provider(gateway: GatewayProcess, provider: Realtime) -> None:
    url = gateway.url.replace("http", "ws")
    with connect(f"{url}/openai/v1/other?model=x", additional_headers={"x-api-key": KEY}, proxy=None) as client:
        client.send("hello")
        assert client.recv() == "hello"
    assert provider.requests[-1].path == "/v1/other?model=x"
    for path, status in (("/v1/chat/completions", 405), ("/nothing", 404), ("/openai/%2e%2e/x", 400)):
        with pytest.raises(InvalidStatus) as refused, connect(f"{url}{path}", additional_headers={"x-api-key": KEY}, proxy=None):
            pass
        assert refused.value.response.status_code == status and json.loads(refused.value.response.body)["error"]["message"]
        assert refused.value.response.headers["x-request-id"]


def test_gemini_live_goes_to_gemini(gateway: GatewayProcess, provider: Realtime) -> None:
    service = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    used = json.dumps({"usageMetadata": {"promptTokenCount": 20, "responseTokenCount": 7, "totalTokenCount": 27}}).encode()
    with connect(gateway.url.replace("http", "ws") + f"{service}?key={KEY}", proxy=None) as client:
        client.send(used)
        assert client.recv() == used
    asked = provider.requests[-1]
    assert (asked.path, asked.headers["x-goog-api-key"]) == (service, "sk-of-g")
    eventually(lambda: "OUTCOME pass_through complete 101 live live 27 forward" in gateway.logs(), what=gateway.logs())


def test_what_a_middleware_refuses_has_a_request_id(provider: Realtime, tmp_path: Any) -> None:
    bouncer = plugin(
        "bouncer",
        """
    @hookimpl
    def register_middleware(self):
        return [lambda app: partial(gate, app)]

async def gate(app, scope, receive, send):
    if scope["type"] != "websocket":
        return await app(scope, receive, send)
    await receive()
    await send({"type": "websocket.close", "code": 1008})
""",
        manifest="capabilities={Capability.MIDDLEWARE}",
        imports="from functools import partial",
    )
    config = {"kernel": {"plugins": "+bouncer"}}
    with (
        GatewayProcess(tmp_path, config, env=plugin_folder(tmp_path, bouncer=bouncer)) as gateway,
        pytest.raises(InvalidStatus) as refused,
        session(gateway),
    ):
        pass
    assert refused.value.response.status_code == 403 and refused.value.response.headers["x-request-id"]


def test_plain_http_is_not_a_session(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        assert client.get("/v1/realtime?model=voice").status_code == 405


def test_slots_are_for_sessions_too(gateway: GatewayProcess, provider: Realtime) -> None:
    with ExitStack() as clients:
        for _ in range(4):
            clients.enter_context(session(gateway))
        with pytest.raises(InvalidStatus) as refused, session(gateway):
            pass
        assert refused.value.response.status_code == 503
    eventually(lambda: admitted(gateway) == 0 and not provider.open)


def test_a_client_that_vanishes_ends_its_session(gateway: GatewayProcess, provider: Realtime) -> None:
    with session(gateway) as client:
        client.send("hello")
        client.recv()
        client.socket.shutdown(socket.SHUT_RDWR)
    eventually(lambda: admitted(gateway) == 0 and not provider.open, 5, "the session's end")


def test_the_gateways_end_is_the_sessions_end(provider: Realtime, tmp_path: Any) -> None:
    params = {"model": "openai/x", "api_base": f"{provider.url}/v1", "api_key": "k"}
    config = {
        "model_list": [{"model_name": "voice", "litellm_params": params}],
        "general_settings": {"master_key": KEY},
        "kernel": {"drain": {"timeout_s": 0.5}},
    }
    with GatewayProcess(tmp_path, config) as gateway:
        with session(gateway) as client:
            client.send("hello")
            client.recv()
            assert gateway.stop() == 0
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=5)
        assert "Exception" not in gateway.logs()
    eventually(lambda: not provider.open)
