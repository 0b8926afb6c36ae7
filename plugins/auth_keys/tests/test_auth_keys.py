"""Which credential is the gateway's, and how a key comes about where none is configured."""

from __future__ import annotations

import json
import os
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from routeiq_auth_keys.keyfile import load_or_create
from routeiq_auth_keys.plugin import AuthKeys, Config
from routeiq_sdk import ConfigError, Deployment, Principal, Reject, Secret
from routeiq_sdk.testing import Context, rc
from routeiq_sdk.wire import Headers

KEY = "sk-master"


def plugin(key: str = KEY) -> AuthKeys:
    return AuthKeys(Config(master_key=Secret(key)))


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers([(b"host", b"h"), *((name.encode(), value.encode()) for name, value in pairs)])


def principal(*consumed: str) -> Principal:
    return Principal(id="master", kind="master", consumed=consumed)


@pytest.mark.parametrize(
    ("pairs", "consumed"),
    [
        ([("authorization", f"Bearer {KEY}")], ["authorization"]),
        ([("authorization", f"bEARER  {KEY} ")], ["authorization"]),
        ([("x-api-key", KEY)], ["x-api-key"]),
        ([("x-litellm-api-key", KEY)], ["x-litellm-api-key"]),
        ([("x-litellm-api-key", f"Bearer {KEY}")], ["x-litellm-api-key"]),
        ([("x-litellm-api-key", KEY), ("authorization", "Bearer sk-own")], ["x-litellm-api-key"]),
        ([("authorization", "Bearer sk-own"), ("x-api-key", KEY)], ["x-api-key"]),
        ([("authorization", f"Bearer {KEY}"), ("x-api-key", "sk-own")], ["authorization"]),
        ([("authorization", f"Bearer {KEY}"), ("x-api-key", KEY)], ["authorization", "x-api-key"]),
        ([("x-litellm-api-key", KEY), ("api-key", KEY)], ["x-litellm-api-key", "api-key"]),
        ([("x-litellm-api-key", KEY), ("authorization", f"Bearer {KEY}")], ["x-litellm-api-key", "authorization"]),
        ([("authorization", "Basic abc"), ("x-api-key", KEY)], ["x-api-key"]),
        ([("x-goog-api-key", KEY)], ["x-goog-api-key"]),
        ([("x-goog-api-key", "own"), ("authorization", f"Bearer {KEY}")], ["authorization"]),
        ([("x-goog-api-key", KEY), ("x-api-key", "own")], ["x-goog-api-key"]),
    ],
)
async def test_the_master_key_is_found_and_every_header_with_it_is_consumed(pairs: list[tuple[str, str]], consumed: list[str]) -> None:
    assert await plugin().authenticate(headers(*pairs), rc()) == principal(*consumed)


@pytest.mark.parametrize(
    "pairs",
    [
        [("authorization", "Bearer wrong")],
        [("authorization", "Bearer ")],
        [("authorization", f"Bearer {KEY}x")],
        [("x-api-key", "")],
        [("x-api-key", f"Bearer {KEY}")],
        [("x-litellm-api-key", "wrong"), ("authorization", f"Bearer {KEY}"), ("x-api-key", KEY)],
        [("x-litellm-api-key", ""), ("authorization", f"Bearer {KEY}")],
        [("authorization", "Bearer wrong"), ("x-api-key", "wrong")],
        [("authorization", f"Bearer {KEY}"), ("authorization", f"Bearer {KEY}")],
        [("x-api-key", "schlüssel")],
        [("x-goog-api-key", "g")],
        [("x-goog-api-key", KEY), ("x-goog-api-key", KEY)],
        [("x-litellm-api-key", "wrong"), ("x-goog-api-key", KEY)],
    ],
)
async def test_a_wrong_or_ambiguous_credential_is_rejected(pairs: list[tuple[str, str]]) -> None:
    assert isinstance(await plugin().authenticate(headers(*pairs), rc()), Reject)


@pytest.mark.parametrize("pairs", [[], [("authorization", "Basic abc")], [("authorization", KEY)], [("api-key", KEY)]])
async def test_without_a_credential_of_its_kind_it_has_no_opinion(pairs: list[tuple[str, str]]) -> None:
    assert await plugin().authenticate(headers(*pairs), rc()) is None


@pytest.mark.parametrize(
    ("query", "pairs", "answer"),
    [
        (f"alt=sse&key={KEY}", [], Principal),
        (f"key={KEY}", [("authorization", "Basic abc")], Principal),
        ("key=wrong", [], Reject),
        ("key=", [], Reject),
        (f"key={KEY}&key={KEY}", [], Reject),
        (f"key={KEY}", [("x-goog-api-key", "wrong")], Reject),
        (f"monkey={KEY}", [], type(None)),
    ],
)
async def test_the_key_may_stand_in_the_query(query: str, pairs: list[tuple[str, str]], answer: type) -> None:
    got = await plugin().authenticate(headers(*pairs), rc(query=query))
    assert isinstance(got, answer)
    assert not isinstance(got, Principal) or got == principal()


async def test_a_key_may_hold_any_character() -> None:
    assert await plugin("schlüssel-🔑").authenticate(headers(("authorization", "Bearer schlüssel-🔑")), rc()) == principal("authorization")
    assert isinstance(await plugin().authenticate(Headers([(b"authorization", b"Bearer \xff\xfe")]), rc()), Reject)


async def test_nothing_opens_a_plugin_that_has_no_key_yet() -> None:
    unstarted = AuthKeys(Config())
    for pair in (("authorization", "Bearer "), ("x-api-key", ""), ("x-litellm-api-key", "")):
        assert isinstance(await unstarted.authenticate(headers(pair), rc()), Reject)


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_key_is_a_mistake(key: str) -> None:
    with pytest.raises(ConfigError, match="empty"):
        Config(master_key=Secret(key))


async def test_a_generated_key_is_announced_kept_and_used_again(tmp_path: Path) -> None:
    lines = []
    for _ in range(2):
        deployments = [
            Deployment(id="1", group="all/*", provider="p", model="*"),
            Deployment(id="2", group="demo", provider="p", model="m"),
        ]
        ctx, made = Context(tmp_path, deployments=deployments), AuthKeys(Config())
        async with made.lifespan(ctx):
            [line] = ctx.announced
            key = line.split("Bearer ")[1].split("'")[0]
            assert await made.authenticate(headers(("authorization", f"Bearer {key}")), rc()) == principal("authorization")
        lines.append(line)
    assert lines[0] == lines[1]
    assert re.fullmatch(r"sk-riq-[A-Za-z0-9_-]{43}", key)
    assert os.listdir(tmp_path) == ["master_key"]
    assert os.stat(tmp_path / "master_key").st_mode & 0o777 == 0o600
    words = shlex.split(lines[0])
    assert words[:2] == ["curl", "{url}/v1/chat/completions"]
    assert json.loads(words[-1])["model"] == "demo"


async def test_a_configured_key_is_neither_written_nor_shown(tmp_path: Path) -> None:
    ctx = Context(tmp_path, mode="production")
    async with plugin().lifespan(ctx):
        assert os.listdir(tmp_path) == []
        assert ctx.announced == ["key      the configured master key, as Authorization: Bearer or x-api-key"]


async def test_production_mode_generates_no_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LITELLM_MASTER_KEY"):
        async with AuthKeys(Config()).lifespan(Context(tmp_path, mode="production")):
            pass
    assert os.listdir(tmp_path) == []


def test_workers_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as workers:
        keys = set(workers.map(load_or_create, [tmp_path / "master_key"] * 64))
    assert (len(keys), os.listdir(tmp_path)) == (1, ["master_key"])


@pytest.mark.parametrize(
    ("content", "mode", "problem"), [("sk-1", 0o640, "mode 0640"), ("sk-1", 0o604, "mode 0604"), (" \n", 0o600, "is empty")]
)
def test_a_key_file_that_cannot_be_trusted_is_refused(tmp_path: Path, content: str, mode: int, problem: str) -> None:
    path = tmp_path / "master_key"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=problem) as caught:
        load_or_create(path)
    assert "sk-1" not in str(caught.value)


def test_a_link_in_place_of_the_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("sk-1")
    (tmp_path / "master_key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_or_create(tmp_path / "master_key")


def test_a_pipe_or_a_folder_in_place_of_the_key_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir()
    for name, problem in (("pipe", "no regular file"), ("folder", "a directory")):
        with pytest.raises(ConfigError, match=problem) as caught:
            load_or_create(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_the_key_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "master_key"
    key = load_or_create(path)
    owner = os.stat(path).st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        assert load_or_create(path) == key, "root may have made it"
        os.chown(path, 12345, -1)
    with pytest.raises(ConfigError, match="another user"):
        load_or_create(path)


def test_a_folder_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="auth_keys"):
        load_or_create(tmp_path / "file" / "master_key")
