"""Whose an id is: a file, a batch or an answer exists for the key that made it and for the master key, and for no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from .forwarding import WATCHER, Provider, config
from .harness import KEY, GatewayProcess, eventually
from .plugins import plugin, plugin_folder

KEYS = plugin(
    "keys",
    """
    @hookimpl
    async def authenticate(self, headers, rc):
        given = (headers.get("authorization") or "").removeprefix("Bearer ")
        return Principal(id=given, consumed=("authorization",)) if given in ("sk-alice", "sk-bob") else None
""",
    manifest='before=("auth_keys",)',
)
READER = plugin(
    "reader",
    """
    @hookimpl
    def on_stream_event(self, event, rc):
        return None
""",
    manifest="capabilities={Capability.STREAM}, hold=Hold.NOTHING",
)


@pytest.fixture(scope="module", params=["one account", "two accounts", "parsed", "two workers"])
def gateway(request: Any, one: Provider, two: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("owners")
    found = {"watcher": WATCHER, "keys": KEYS} | ({"reader": READER} if request.param == "parsed" else {})
    settings = config(one, one if request.param == "one account" else two, plugins="+" + ",+".join(found))
    if request.param == "one account":
        settings["model_list"] = settings["model_list"][:2] + settings["model_list"][5:6]
    flags = ("--workers", "2") if request.param == "two workers" else ()
    with GatewayProcess(folder, settings, *flags, env=plugin_folder(folder, **found)) as gateway:
        eventually(lambda: len(gateway.workers()) == len(flags or (1,)), what="all workers")
        yield gateway


def client(gateway: GatewayProcess, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0, timeout=30)


@pytest.fixture
def alice(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with client(gateway, "sk-alice") as alice:
        yield alice


@pytest.fixture
def bob(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with client(gateway, "sk-bob") as bob:
        yield bob


@pytest.fixture
def master(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with client(gateway, KEY) as master:
        yield master


NAMED = {"x-routeiq-model": "emb"}


def test_every_worker_knows_whose_a_file_is(gateway: GatewayProcess, alice: openai.OpenAI) -> None:
    made = alice.files.create(file=("x.jsonl", b"{}"), purpose="batch", extra_headers=NAMED)
    for key, answer in (("sk-alice", 200), ("sk-bob", 404)) * 8:
        found = httpx.get(f"{gateway.url}/v1/files/{made.id}", headers={"authorization": f"Bearer {key}"}, trust_env=False)
        assert found.status_code == answer, found.text


def test_a_file_is_its_makers_and_the_masters(alice: openai.OpenAI, bob: openai.OpenAI, master: openai.OpenAI, one: Provider) -> None:
    made = alice.files.create(file=("x.jsonl", b"{}"), purpose="batch", extra_headers=NAMED)
    assert alice.files.retrieve(made.id).id == made.id and master.files.retrieve(made.id).id == made.id
    before = len(one.exchanges)
    for headers in ({}, NAMED):
        for ask in (bob.files.retrieve, bob.files.content, bob.files.delete):
            with pytest.raises(openai.NotFoundError) as hidden:
                ask(made.id, extra_headers=headers)
            with pytest.raises(openai.NotFoundError) as unknown:
                ask("file-of-nobody-a", extra_headers=headers)
            assert hidden.value.message.replace(made.id, "") == unknown.value.message.replace("file-of-nobody-a", "")
    with pytest.raises(openai.NotFoundError):
        bob.batches.create(input_file_id=made.id, endpoint="/v1/embeddings", completion_window="24h", extra_headers=NAMED)
    with pytest.raises(openai.NotFoundError):
        bob.get(f"{str(bob.base_url).removesuffix('/v1/')}/openai/v1/files/{made.id}", cast_to=object)
    assert len(one.exchanges) == before


def test_what_the_master_looks_at_stays_its_makers(alice: openai.OpenAI, bob: openai.OpenAI, master: openai.OpenAI) -> None:
    store = alice.vector_stores.create(name="s", extra_headers=NAMED)
    assert master.vector_stores.retrieve(store.id).id == store.id
    made = alice.batches.create(input_file_id=_file(alice), endpoint="/v1/embeddings", completion_window="24h", extra_headers=NAMED)
    assert master.batches.retrieve(made.id).id == made.id and alice.batches.retrieve(made.id).id == made.id
    with pytest.raises(openai.NotFoundError):
        bob.batches.retrieve(made.id)


def _file(client: openai.OpenAI) -> str:
    return client.files.create(file=("x.jsonl", b"{}"), purpose="batch", extra_headers=NAMED).id


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_is_its_makers_and_the_masters(
    alice: openai.OpenAI, bob: openai.OpenAI, master: openai.OpenAI, one: Provider, two: Provider, stream: bool
) -> None:
    for _ in range(4):
        made: Any = alice.responses.create(model="both", input="Hello.", stream=stream)
        previous = list(made)[-1].response.id if stream else made.id
        assert alice.responses.retrieve(previous).id == previous
        for mine in (alice, master):
            mine.responses.create(model="both", input="And?", previous_response_id=previous)
        keeper = one if previous.endswith("-a") else two
        assert keeper.last.json()["previous_response_id"] == previous
        before = len(one.exchanges) + len(two.exchanges)
        with pytest.raises(openai.NotFoundError) as unknown:
            bob.responses.create(model="both", input="And?", previous_response_id=previous, stream=stream)
        assert previous in unknown.value.message
        with pytest.raises(openai.NotFoundError):
            bob.responses.retrieve(previous, extra_headers={"x-routeiq-model": "both"})
        assert len(one.exchanges) + len(two.exchanges) == before


def test_an_id_that_is_deleted_may_be_made_again(alice: openai.OpenAI, bob: openai.OpenAI) -> None:
    made = _file(alice)
    alice.files.delete(made)
    assert _file(bob) == made and bob.files.retrieve(made).id == made
    with pytest.raises(openai.NotFoundError):
        alice.files.retrieve(made)
    bob.files.delete(made)


def test_an_unknown_id_is_the_masters(bob: openai.OpenAI, master: openai.OpenAI) -> None:
    assert master.files.retrieve("file-old-a", extra_headers=NAMED).id == "file-old-a"
    with pytest.raises(openai.NotFoundError):
        bob.files.retrieve("file-old-a", extra_headers=NAMED)
