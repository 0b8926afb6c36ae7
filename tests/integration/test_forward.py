"""Everything that is passed on, with the official client where it has a method, and by hand where it has not."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from .forwarding import EMBEDDINGS, WATCHER, Provider, config
from .harness import ADMIN, KEY, GatewayProcess, eventually
from .plugins import plugin_folder
from .rawhttp import connect, read_answer

UPLOAD = (
    f"POST /v1/files HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {KEY}\r\nX-RouteIQ-Model: emb\r\n"
    "Content-Type: multipart/form-data; boundary=x\r\n"
)


@pytest.fixture(scope="module")
def gateway(one: Provider, two: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("forward")
    limits = {"max_body_bytes": 100_000, "max_upload_bytes": 30_000_000, "body_timeout_s": 1}
    settings = {"max_concurrent_requests": 8, "limits": limits, "timeouts": {"send_stall_s": 2}}
    with GatewayProcess(folder, config(one, two, **settings), env=plugin_folder(folder, watcher=WATCHER)) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0, timeout=30) as client:
        yield client


def admitted(gateway: GatewayProcess) -> int:
    with gateway.client() as client:
        return int(client.get("/admin/status", headers={"x-admin-api-key": ADMIN}).json()["admitted"])


def outcomes(gateway: GatewayProcess, operation: str) -> list[list[str]]:
    return [line.split()[2:] for line in gateway.logs().splitlines() if line.startswith(f"OUTCOME {operation} ")]


# what is held


def test_embeddings_pass_byte_for_byte(gateway: GatewayProcess, one: Provider) -> None:
    body = b'{ "model" : "emb", "input":["a", 1.50],\n "encoding_format":"base64", "x":null }'
    with gateway.client() as client:
        answer = client.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})
    assert answer.content == EMBEDDINGS and answer.status_code == 200
    assert one.last.body == body.replace(b'"emb"', b'"emb-real"')
    assert one.last.header("authorization") == "Bearer sk-of-a"
    assert answer.headers["x-upstream-request-id"] == "req-of-the-provider"
    assert "x-routeiq-cost" not in answer.headers or answer.headers["x-routeiq-cost"]
    eventually(lambda: ["complete", "200", "emb", "emb-real", "5", "1"] in outcomes(gateway, "embeddings"))


def test_the_client_reads_embeddings(client: openai.OpenAI) -> None:
    assert client.embeddings.create(model="emb", input="Hello.").data[0].embedding == [1.0, 2.0]


def test_images_moderations_and_reranks(client: openai.OpenAI, gateway: GatewayProcess, one: Provider, two: Provider) -> None:
    assert client.images.generate(model="emb", prompt="A cat.").data[0].b64_json == "aGk="  # type: ignore[index]
    assert client.moderations.create(model="emb", input="Hello.").id == "modr-1"
    with gateway.client() as plain:
        for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
            answer = plain.post(path, json={"model": "ranker", "query": "q", "documents": ["d"]})
            assert answer.json()["results"][0]["relevance_score"] == 0.9, answer.text
            assert two.last.json()["model"] == "rank-real" and two.last.target == "/v1/rerank"
    eventually(lambda: ["complete", "200", "emb", "emb-real", "13", "1"] in outcomes(gateway, "image_generation"))
    eventually(lambda: ["complete", "200", "ranker", "rank-real", "7", "1"] in outcomes(gateway, "rerank"))


def test_an_error_of_the_provider_is_its_own(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        answer = client.post("/v1/embeddings", json={"model": "emb", "input": "please-fail"})
    assert answer.status_code == 422
    assert answer.content == b'{"error" : {"message":"No such thing.","type":"odd_error","param":"x","code":"odd"}}'


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"model":"emb","model":"far","input":"x"}', 400, None),
        (b'{"model":7,"input":"x"}', 400, "invalid_model"),
        (b"[]", 400, None),
        (b"", 400, None),
        (b'{"model":"nobody","input":"x"}', 404, "model_not_found"),
        (b'{"model":"demo","input":"x"}', 400, "unsupported_model"),
        (b'{"model":"forbidden","input":"x"}', 403, "no_model"),
        (b'{"model":"emb","input":"' + b"x" * 200_000 + b'"}', 413, "request_too_large"),
    ],
)
def test_bad_requests_are_refused_in_the_clients_format(gateway: GatewayProcess, body: bytes, status: int, code: str | None) -> None:
    with gateway.client() as client:
        answer = client.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]
    assert code is None or answer.json()["error"]["code"] == code


def test_nobody_without_a_key(gateway: GatewayProcess) -> None:
    with gateway.client(key=None) as client:
        for method, path in (
            ("POST", "/v1/embeddings"),
            ("GET", "/v1/files/file-a"),
            ("GET", "/openai/v1/anything"),
            ("POST", "/v1/files"),
        ):
            assert client.request(method, path).status_code == 401


def test_a_rule_that_reads_content_reads_what_is_passed_on(gateway: GatewayProcess) -> None:
    with gateway.client(headers={"x-read": "1"}) as client:
        ok = client.post("/v1/embeddings", json={"model": "emb", "input": ["fine"]})
        bad = client.post("/v1/embeddings", json={"model": "emb", "input": ["fine", "the secret word"]})
        unreadable = client.post("/v1/files", files={"file": b"x"}, headers={"x-routeiq-model": "emb"})
    assert (ok.status_code, bad.status_code, bad.json()["error"]["code"]) == (200, 403, "bad_word")
    assert (unreadable.status_code, unreadable.json()["error"]["code"]) == (403, "unreadable")


# streams


def test_speech_arrives_as_it_comes(client: openai.OpenAI, one: Provider) -> None:
    asked = client.audio.speech.with_streaming_response
    with asked.create(model="emb", voice="alloy", input="Hello.", instructions="speech-gate") as answer:
        pieces = answer.iter_bytes()
        first = next(pieces)
        assert first.startswith(b"\xff\xfb") and answer.headers["content-type"] == "audio/mpeg"
        one.open("speech-gate")
        assert first + b"".join(pieces) == b"\xff\xfb" + b"\x00" * 1000 + b"\x02" * 1000


def test_a_cut_answer_is_not_a_whole_one(gateway: GatewayProcess) -> None:
    with gateway.client() as client, pytest.raises(httpx.RemoteProtocolError):
        client.post("/v1/audio/speech", json={"model": "emb", "voice": "v", "input": "x", "instructions": "cut"})
    eventually(lambda: any(each[0] == "truncated" for each in outcomes(gateway, "speech")))


def test_a_client_that_leaves_takes_the_providers_connection_along(gateway: GatewayProcess, one: Provider) -> None:
    asked = {"model": "emb", "voice": "v", "input": "x", "instructions": "forever"}
    with gateway.client() as client, client.stream("POST", "/v1/audio/speech", json=asked) as answer:
        pieces = answer.iter_raw()
        assert next(pieces)
        assert admitted(gateway) == 1
        exchange = one.last
    eventually(lambda: exchange.closed_s is not None, 5, "the provider's connection closed")
    eventually(lambda: admitted(gateway) == 0)


def test_a_large_upload_is_streamed(client: openai.OpenAI, gateway: GatewayProcess, one: Provider) -> None:
    client.audio.transcriptions.create(model="whisper", file=("a.wav", b"RIFF"))
    before = gateway.memory_mb()
    peak, audio = before, b"RIFF" + bytes(range(256)) * 80_000
    answer = client.audio.transcriptions.create(model="whisper", file=("a.wav", io.BytesIO(audio)), language="en")
    peak = max(peak, gateway.memory_mb())
    assert answer.text == "hello"
    assert audio in one.last.body and b"whisper-real" in one.last.body and b"\r\nwhisper\r\n" not in one.last.body
    assert int(one.last.header("content-length") or 0) == len(one.last.body)
    assert peak - before < 12, (before, peak)
    eventually(lambda: ["complete", "200", "whisper", "whisper-real", "17", "1"] in outcomes(gateway, "transcription"))


def form(*parts: tuple[str, bytes], boundary: str = "xyz", tail: bytes = b"") -> bytes:
    lines = [
        b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (boundary.encode(), name.encode(), value)
        for name, value in parts
    ]
    return b"".join(lines) + b"--%b--\r\n" % boundary.encode() + tail


@pytest.mark.parametrize("chunked", [False, True])
def test_the_model_may_follow_the_file(gateway: GatewayProcess, one: Provider, chunked: bool) -> None:
    sent = form(("file", b"z" * 3_000_000 + b"\r\n--xy"), ("model", b"whisper"), ("language", b"en"))
    content: Any = (sent[at : at + 100_001] for at in range(0, len(sent), 100_001)) if chunked else sent
    with gateway.client() as client:
        answer = client.post("/v1/audio/transcriptions", content=content, headers={"content-type": "multipart/form-data; boundary=xyz"})
    assert answer.status_code == 200, answer.text
    assert one.last.body == sent.replace(b"\r\n\r\nwhisper\r\n", b"\r\n\r\nwhisper-real\r\n")


def test_a_request_without_a_model_gets_the_one_of_the_header(gateway: GatewayProcess, one: Provider) -> None:
    with gateway.client(headers={"x-routeiq-model": "whisper"}) as client:
        client.post("/v1/images/generations", content=b'{"prompt": "x" }', headers={"content-type": "application/json"})
        assert one.last.body == b'{"prompt": "x" ,"model":"whisper-real"}'
        sent = form(("file", b"z" * 100))
        client.post("/v1/images/edits", content=sent, headers={"content-type": "multipart/form-data; boundary=xyz"})
    assert one.last.body == form(("model", b"whisper-real")).removesuffix(b"--xyz--\r\n") + sent
    assert one.last.header("content-length") == str(len(one.last.body))


def test_where_nobody_names_a_model_the_provider_chooses(gateway: GatewayProcess, one: Provider) -> None:
    sent = form(("image", b"z" * 100))
    with gateway.client() as client:
        assert client.post("/v1/moderations", content=b'{"input":"x"}', headers={"content-type": "application/json"}).status_code == 200
        assert one.last.body == b'{"input":"x"}'
        client.post("/v1/images/edits", content=sent, headers={"content-type": "multipart/form-data; boundary=xyz"})
    assert one.last.body == sent


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (form(("model", b"whisper"), ("file", b"x"), ("model", b"forbidden")), "boundary=xyz"),
        (form(("model", b"whisper"), tail=form(("model", b"forbidden"))), "boundary=xyz"),
        (
            form(("model", b"whisper")).replace(b"--xyz--", b"--xyz\nContent-Disposition: form-data; name=model\n\nforbidden\r\n--xyz--"),
            "boundary=xyz",
        ),
        (form(("model", b"whisper")), "boundary=xyz; boundary=abc"),
        (form(("model", b"w" * 5000)), "boundary=xyz"),
        (form(("model", b"whisper")), "boundary=" + "-" * 100_000),
        (form(("model", b"whisper")), "charset=x"),
    ],
)
def test_forms_that_name_no_single_model_are_refused(gateway: GatewayProcess, one: Provider, body: bytes, kind: str) -> None:
    before = len([each for each in one.exchanges if b"forbidden" in each.body])
    with gateway.client() as client:
        try:
            status = client.post(
                "/v1/audio/transcriptions", content=body, headers={"content-type": f"multipart/form-data; {kind}"}
            ).status_code
        except httpx.RemoteProtocolError:
            status = 431
    assert status in (400, 431)
    assert len([each for each in one.exchanges if b"forbidden" in each.body]) == before


def test_an_upload_has_limits(gateway: GatewayProcess) -> None:
    with connect(gateway) as connection:
        connection.sendall(f"{UPLOAD}Content-Length: 40000000\r\n\r\n".encode())
        assert read_answer(connection).status == 413
    with connect(gateway) as connection:
        connection.sendall(f"{UPLOAD}Content-Length: 1000\r\n\r\n--x\r\n".encode())
        began = time.monotonic()
        assert read_answer(connection).status == 408
        assert 0.5 < time.monotonic() - began < 5
    eventually(lambda: admitted(gateway) == 0)


def test_an_upload_that_breaks_off_breaks_off_at_the_provider(gateway: GatewayProcess, one: Provider) -> None:
    before = len(one.exchanges)
    with connect(gateway) as connection:
        connection.sendall(f"{UPLOAD}Transfer-Encoding: chunked\r\n\r\n5\r\n--x\r\n\r\n".encode())
        eventually(lambda: admitted(gateway) == 1)
    eventually(lambda: admitted(gateway) == 0)
    assert len(one.exchanges) == before  # the fake keeps whole requests only


# owners


def test_a_file_is_asked_of_the_deployment_that_has_it(
    client: openai.OpenAI, gateway: GatewayProcess, one: Provider, two: Provider
) -> None:
    made = client.files.create(file=("x.jsonl", b"{}\n" * 10), purpose="batch", extra_headers={"x-routeiq-model": "far"})
    assert made.id == "file-b"
    assert client.files.retrieve("file-b").id == "file-b" and two.last.header("authorization") == "Bearer sk-of-b"
    assert client.files.content("file-b").content == b"\x00line\n" * 1000
    batch = client.batches.create(input_file_id="file-b", endpoint="/v1/embeddings", completion_window="24h")
    assert batch.id == "batc-b" and client.batches.retrieve("batc-b").id == "batc-b"
    store = client.vector_stores.create(name="s", file_ids=["file-b"])
    assert client.vector_stores.retrieve(store.id).id == "vect-b"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.files.retrieve("file-of-nobody")
    assert "x-routeiq-model" in unknown.value.message
    assert client.files.retrieve("file-c-a", extra_headers={"x-routeiq-model": "emb"}).id == "file-c-a"
    assert client.files.list().data == []


def test_sub_resources_of_responses(client: openai.OpenAI, one: Provider) -> None:
    named = {"x-routeiq-model": "emb"}
    assert client.responses.retrieve("resp_1-a", extra_headers=named).id == "resp_1-a"
    assert one.last.target == "/v1/responses/resp_1-a"
    client.responses.cancel("resp_1-a", extra_headers=named)
    assert (one.last.method, one.last.target) == ("POST", "/v1/responses/resp_1-a/cancel")
    client.responses.delete("resp_1-a", extra_headers=named)
    assert one.last.method == "DELETE"
    client.responses.input_items.list("resp_1-a", limit=2, extra_headers=named)
    assert one.last.target == "/v1/responses/resp_1-a/input_items?limit=2"


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_stays_with_the_deployment_that_keeps_it(client: openai.OpenAI, one: Provider, two: Provider, stream: bool) -> None:
    for _ in range(4):
        made: Any = client.responses.create(model="both", input="Hello.", stream=stream)
        previous = list(made)[-1].response.id if stream else made.id
        keeper, other = (one, two) if previous.endswith("-a") else (two, one)
        before = len(other.exchanges)
        for _ in range(4):
            client.responses.create(model="both", input="And?", previous_response_id=previous)
            assert keeper.last.json()["previous_response_id"] == previous
        assert client.responses.retrieve(previous).id == previous
        assert len(other.exchanges) == before


def test_only_what_makes_nothing_is_sent_again_after_a_stale_connection(gateway: GatewayProcess, one: Provider) -> None:
    asked = {"x-routeiq-model": "emb"}
    with gateway.client(headers=asked) as client:
        client.post("/v1/embeddings", json={"model": "emb", "input": "x"})  # leaves a connection in the pool
        before = len(one.exchanges)
        answer = client.post("/v1/embeddings", json={"model": "emb", "input": "hang-up"})
        told = answer.headers["x-routeiq-attempts"], answer.headers["x-routeiq-resent"]
        assert (answer.status_code, *told, len(one.exchanges) - before) == (200, "1", "1", 2)
        broken = client.post("/v1/conversations", json={"metadata": {"about": "hang-up"}})
        assert (broken.status_code, len(one.exchanges) - before) == (502, 3), broken.text
        once = client.post("/v1/conversations", json={"metadata": {"about": "hang-up"}})
        assert (once.status_code, "x-routeiq-resent" in once.headers, len(one.exchanges) - before) == (200, False, 4)
        assert one.last.header("content-length") == str(len(one.last.body)) and one.last.json()["metadata"] == {"about": "hang-up"}


def test_a_held_request_is_tried_again_and_an_upload_is_not(gateway: GatewayProcess, one: Provider) -> None:
    with gateway.client() as client:
        before = len(one.exchanges)
        answer = client.post("/v1/embeddings", json={"model": "emb", "input": "flaky"}, headers={"x-retry": "1"})
        assert (answer.status_code, len(one.exchanges) - before) == (200, 2)
        before = len(one.exchanges)
        answer = client.post("/v1/audio/transcriptions", data={"model": "whisper"}, files={"file": b"flaky"}, headers={"x-retry": "1"})
        assert (answer.status_code, len(one.exchanges) - before) == (503, 1)
        late = form(("file", b"flaky"), ("model", b"whisper"))
        kind = {"content-type": "multipart/form-data; boundary=xyz", "x-retry": "1"}
        answer = client.post("/v1/audio/transcriptions", content=late, headers=kind)
        assert (answer.status_code, len(one.exchanges) - before) == (503, 2)
    eventually(lambda: ["complete", "200", "emb", "emb-real", "5", "2"] in outcomes(gateway, "embeddings"))


def test_usage_of_a_streamed_answer_is_read_on_its_way(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        answer = client.post("/openai/v1/anything", json={"stream": "sse"})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.content == b'data: {"type":"x"}\n\ndata: {"type":"done","usage":{"input_tokens":40,"output_tokens":2}}\n\n'
    eventually(lambda: any(each[4] == "42" for each in outcomes(gateway, "pass_through")))


# other formats


def test_anthropics_files_and_batches_go_to_anthropic(one: Provider, two: Provider, tmp_path: Any) -> None:
    settings = config(one, two)
    settings["kernel"]["plugins"] = "@default"
    settings["model_list"] += [
        {"model_name": "claude", "litellm_params": {"model": "anthropic/claude-real", "api_base": one.url, "api_key": "sk-ant"}},
    ]
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "files-api-2025-04-14"}
    with GatewayProcess(tmp_path, settings) as gateway:
        with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0, timeout=30, default_headers=headers) as client:
            made = client.beta.files.upload(file=("a.txt", b"hello", "text/plain"))
            assert made.id == "file-a" and one.last.header("x-api-key") == "sk-ant" and b"hello" in one.last.body
            assert "files-api-2025-04-14" in (one.last.header("anthropic-beta") or "")
            assert client.beta.files.retrieve_metadata("file-a").id == "file-a"
            with pytest.raises(anthropic.NotFoundError):
                client.messages.batches.retrieve("msgbatch_of_nobody")
            assert one.last.target == "/v1/messages/batches/msgbatch_of_nobody"
        with gateway.client(headers=headers) as plain:
            refused = plain.get("/v1/skills/%2e%2e")
            assert refused.status_code == 400 and refused.json()["type"] == "error"
            assert plain.get("/anthropic/v1/models?limit=1").json()["target"] == "/v1/models?limit=1"


def test_a_client_that_stops_reading_is_cut(gateway: GatewayProcess, one: Provider) -> None:
    asked = json.dumps({"model": "emb", "voice": "v", "input": "x", "instructions": "forever"}).encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    with connect(gateway, receive_buffer=4096) as connection:
        connection.sendall(f"{head}Content-Length: {len(asked)}\r\n\r\n".encode() + asked)
        connection.recv(1000)
        eventually(lambda: admitted(gateway) == 1)
        eventually(lambda: admitted(gateway) == 0, 8, "the slot free again")
        connection.shutdown(socket.SHUT_RDWR)
