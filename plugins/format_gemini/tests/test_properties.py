"""Whatever bytes arrive: no exception, the order rules, and the same events for every split."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from routeiq_sdk.errors import ClientError
from routeiq_sdk.stream import Error, MessageEnd, replace
from routeiq_sdk.testing import check_events, deployment
from routeiq_sdk.testing.transcripts import shape
from routeiq_sdk.wire import Asked

from .wire import ARRAY, CODEC, SAME, anew, decode, encode, frame, parse

words = st.text(max_size=6)
signed = st.sampled_from([{}, {"thoughtSignature": "AA+/"}, {"thoughtSignature": "AA-_"}, {"thoughtSignature": "cnExLg"}])
piece = st.fixed_dictionaries(
    {},
    optional={
        "name": words.filter(bool),
        "id": words,
        "args": st.dictionaries(words, st.integers(), max_size=2),
        "willContinue": st.booleans(),
        "partialArgs": st.lists(
            st.fixed_dictionaries(
                {"jsonPath": st.sampled_from(["$.a", "$.a.b", "$.c[0]", "$.c[1].d", "$", "x", "$['e']"])},
                optional={"stringValue": words, "numberValue": st.integers(), "willContinue": st.booleans(), "nullValue": st.none()},
            ),
            max_size=2,
        ),
    },
)
part = st.one_of(
    st.builds(lambda value, more: {"text": value, **more}, words, signed),
    st.builds(lambda value, more: {"text": value, "thought": True, **more}, words, signed),
    st.builds(lambda value, more: {"functionCall": value, **more}, piece, signed),
    st.just({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
    st.just({"executableCode": {"language": "PYTHON", "code": "1"}}),
    st.just({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}),
    st.just({"odd": 1}),
)
support = {"segment": {"startIndex": 1, "endIndex": 3, "text": "x"}, "groundingChunkIndices": [0, 7]}
candidate = st.fixed_dictionaries(
    {},
    optional={
        "content": st.fixed_dictionaries({"role": st.just("model")}, optional={"parts": st.lists(part, max_size=3)}),
        "finishReason": st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "ODD", "FINISH_REASON_UNSPECIFIED"]),
        "index": st.integers(0, 1),
        "groundingMetadata": st.just({"groundingChunks": [{"web": {"uri": "u", "title": "t"}}], "groundingSupports": [support]}),
        "logprobsResult": st.just({"chosenCandidates": [{"token": "a", "logProbability": -0.5}]}),
    },
)
chunk = st.builds(
    lambda candidates, more: {"candidates": candidates, **more, **SAME},
    st.lists(candidate, max_size=2),
    st.sampled_from([{}, {"usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}}, {"promptFeedback": {"blockReason": "SAFETY"}}]),
)
noise = st.sampled_from([b": hi\n\n", b"data: {\n\n", b"id: 5\n\n", b"data: 7\n\n", b"event: x\ndata: {}\n\n", b"data:[DONE]\n\n", b"\n"])
streams = st.lists(chunk.map(frame) | noise, max_size=8)


@given(streams)
def test_made_up_streams_keep_the_order_rules(frames: list[bytes]) -> None:
    assert check_events(decode(b"".join(frames))) == []


@given(streams)
@example(
    [frame({"candidates": [{}]}), frame({"candidates": [{"finishReason": "SAFETY"}, {}], "promptFeedback": {"blockReason": "SAFETY"}})]
)
def test_made_up_streams_are_written_anew_within_the_oracle(frames: list[bytes]) -> None:
    events = decode(b"".join(frames))
    if not events or not isinstance(events[-1], MessageEnd):
        return
    assert CODEC.oracle(encode(anew(events))) == []
    assert ARRAY.oracle(encode(anew(events), codec=ARRAY)) == []
    assert ARRAY.oracle(encode(events, codec=ARRAY)) == [] or any(b"data: {" not in each for each in frames)
    again = decode(encode(anew(events)))
    assert isinstance(again[-1], MessageEnd)
    assert isinstance(CODEC.explode(CODEC.collect(anew(events), parse(), []))[-1], MessageEnd)


@given(streams, st.data())
def test_any_split_gives_the_same_events(frames: list[bytes], data: st.DataObject) -> None:
    body = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert shape(decode(body, pieces)) == shape(decode(body))
    assert anew(decode(body, pieces)) == anew(decode(body))


@given(streams)
def test_tap_and_decoder_agree(frames: list[bytes]) -> None:
    tap, decoder, framer = CODEC.tap(parse()), CODEC.decoder(), CODEC.framer()
    failed = False
    events: list[Any] = []
    for each in [*framer.feed(b"".join(frames)), *framer.close()]:
        failed = failed or tap.feed(each).error is not None
        events += decoder.feed(each)
    complete = tap.complete
    ended = decoder.close()
    assert failed is any(isinstance(event, Error) for event in events)
    if not any(b"UNSPECIFIED" in each for each in frames):
        assert complete is bool(ended)


@given(st.lists(st.binary(max_size=40) | st.binary(max_size=40).map(lambda raw: b"data: " + raw + b"\n\n"), max_size=6))
def test_arbitrary_bytes_raise_nothing(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    events = decode(body, pieces)
    CODEC.encoder(parse()).feed(events)
    tap = CODEC.tap(parse())
    for each in pieces:
        tap.feed(each)
    CODEC.oracle(body)
    CODEC.usage(body)
    assert CODEC.parse_error(500, [], body).message
    assert CODEC.explode(body) and (CODEC.check(body) is None) is (not isinstance(CODEC.explode(body)[-1], Error))


json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
)
member = st.sampled_from(["model", "contents", "tools", "tool_config", "generationConfig", "systemInstruction", "labels", "store", "x"])


@given(st.dictionaries(member, json_value, max_size=5), st.dictionaries(words, json_value, max_size=3))
def test_any_json_is_a_request_or_a_client_error(body: dict[str, Any], inner: dict[str, Any]) -> None:
    for made in (
        {"contents": []} | body,
        {"contents": [inner]},
        {"contents": [{"parts": [inner]}], "tools": [inner], "tool_config": inner},
    ):
        try:
            got = CODEC.parse_request(json.dumps(made).encode(), Asked(params={"model": "m"}))
            sent = CODEC.build_request(got.replace(end_user="x"), deployment()).body
        except ClientError:
            continue
        assert isinstance(json.loads(sent), dict)


@given(json_value, json_value)
def test_any_json_is_an_answer_or_an_error(value: Any, inner: Any) -> None:
    for made in (
        value,
        {"error": value},
        [{"error": value}],
        {"candidates": value, "usageMetadata": inner},
        {"candidates": [{"content": value, "finishReason": inner, "groundingMetadata": value, "logprobsResult": inner}]},
        {"candidates": [{"content": {"parts": [value, {"text": "a"}, {"functionCall": inner}]}, "citationMetadata": value}]},
        {
            "candidates": [
                {"content": {"parts": [{"text": "a"}]}, "groundingMetadata": {"groundingSupports": value, "groundingChunks": inner}}
            ]
        },
    ):
        raw = json.dumps(made).encode()
        events = CODEC.explode(raw)
        assert isinstance(events[-1], MessageEnd | Error)
        assert check_events(events) == []
        CODEC.collect([replace(event) for event in events], parse(), [])
        decode(frame(made))
        CODEC.tap(parse()).feed(frame(made))
        CODEC.parse_error(400, [], raw)
