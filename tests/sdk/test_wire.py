"""SSE framing under any split, spans and edits of JSON members, headers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from routeiq_sdk import ClientError
from routeiq_sdk.testing import every_split
from routeiq_sdk.wire import Headers, SseFramer, dumps, loads, members, patch, sse_data, sse_event

ENDINGS = st.sampled_from([b"\n", b"\r\n", b"\r"])
TEXTS = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)


def frames(pieces: list[bytes]) -> list[bytes]:
    framer = SseFramer()
    return [frame for piece in pieces for frame in framer.feed(piece)] + framer.close()


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Events of data, comments and other fields, with any mixture of line endings."""
    body = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    for _ in range(draw(st.integers(1, 4))):
        for _ in range(draw(st.integers(0, 3))):
            name = draw(st.sampled_from(["data: ", "data:", ": ", "event: ", "id: ", "retry: "]))
            body += (name + draw(TEXTS)).encode() + draw(ENDINGS)
        body += draw(ENDINGS)
    return body + draw(st.sampled_from([b"", b"data: no blank line"]))


@given(streams(), st.data())
def test_any_split_gives_the_same_frames(body: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert frames(pieces) == frames([body])
    assert b"".join(frames([body])).rstrip(b"\r\n") == body.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")


@pytest.mark.parametrize("body", [b"\n\r", b"\xef\xbb\xbf\n\r", b"data: \n\n\n", b"data: a\r\n\r", b"\n\n\n\n"])
def test_odd_ends_give_the_same_frames_with_any_split(body: bytes) -> None:
    for pieces in ([body, b""], [b"", body], *every_split(body)):
        assert frames(pieces) == frames([body])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\r", [b"a", b"b"]),
        (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
        (b"data: 1\ndata: 2\n\n", [b"1\n2"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: last", [b"last"]),
        ("data: \u2028\u0085\n\n".encode(), ["\u2028\u0085".encode()]),
        (b"event: x\nid: 1\nretry: 5\ndata: y\n\n", [b"y"]),
    ],
)
def test_data_of_frames(body: bytes, expected: list[bytes]) -> None:
    for pieces in ([body], *every_split(body)):
        assert [sse_data(frame) for frame in frames(pieces)] == expected


def test_event_names() -> None:
    assert sse_event(b"event: ping\ndata: {}\n\n") == "ping"
    assert sse_event(b"data: {}\nevent:pong\r\n\r\n") == "pong"
    assert sse_event(b": comment\n\n") == ""


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
SPACES = st.sampled_from(["", " ", "\n", "\t ", " \r\n"])


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """A JSON object with any white space and escapes, and its value."""
    value = draw(st.dictionaries(NAMES, JSON, max_size=5))
    parts = []
    for name, member in value.items():
        ascii_only = draw(st.booleans())
        text = json.dumps(member, ensure_ascii=ascii_only, indent=draw(st.sampled_from([None, 1])))
        parts.append(f"{draw(SPACES)}{json.dumps(name, ensure_ascii=ascii_only)}{draw(SPACES)}:{draw(SPACES)}{text}{draw(SPACES)}")
    return f"{draw(SPACES)}{{{','.join(parts)}{'' if parts else draw(SPACES)}}}{draw(SPACES)}".encode(), value


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(bodies())
def test_spans_name_each_members_value(made: tuple[bytes, dict[str, Any]]) -> None:
    body, value = made
    assert {name: json.loads(body[start:end]) for name, (start, end) in members(body).items()} == value


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(bodies(), st.dictionaries(NAMES, st.none() | JSON.map(dumps), max_size=4), st.data())
def test_patch_changes_what_it_is_told_and_nothing_else(
    made: tuple[bytes, dict[str, Any]], edits: dict[str, bytes | None], data: st.DataObject
) -> None:
    body, value = made
    if value:
        edits = edits | {
            name: data.draw(st.none() | JSON.map(dumps)) for name in data.draw(st.lists(st.sampled_from(sorted(value)), max_size=3))
        }
    expected = {name: member for name, member in value.items() if edits.get(name, b"") is not None}
    expected |= {name: json.loads(new) for name, new in edits.items() if new is not None}
    assert json.loads(patch(body, members(body), edits)) == expected


def test_patch_keeps_every_other_byte() -> None:
    body = b'{ "a" : 1.50,\n "model":"x" , "b":{"c":[1e400, "\\u00e9"]} }'
    assert patch(body, members(body), {"model": b'"y"'}) == body.replace(b'"x"', b'"y"')
    assert patch(body, members(body), {}) == body
    assert patch(body, members(body), {"new": b"[1]"}) == body[:-1] + b',"new":[1]}'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "JSON"), (b"{", "JSON"), (b'{"a":1', "JSON"), (b"[]", "object"), (b"7", "object"), (b'"x"', "object"), (b"null", "object"),
        (b'{"a":1}x', "JSON"), (b'{"a":NaN}', "JSON"), (b'{"a":Infinity}', "JSON"), (b'{"a":\xff}', "UTF-8"), (b'{"a":"\xff"}', "UTF-8"),
        (b'{"a":1,"a":1}', "twice"), (b'{"a":1,"b":2,"a":3}', "twice"), (b'{"a":12,"a":1}', "twice"), (b'{"a":1,"\\u0061":2}', "twice"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested"),
    ],
)  # fmt: skip
def test_bad_bodies_are_refused_with_the_reason(body: bytes, words: str) -> None:
    with pytest.raises(ClientError, match=words) as caught:
        members(body)
    assert caught.value.kind == "invalid_request"


def test_lone_surrogates_are_valid_json() -> None:
    body = b'{"a":"\\ud83d","b":2}'
    assert body[slice(*members(body)["b"])] == b"2"
    assert loads(b'"\\ud83d"') == "\ud83d"
    with pytest.raises(ValueError, match=r".*"):
        loads(b"{nope")


def test_headers_give_the_first_value_and_all_of_them() -> None:
    headers = Headers([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    assert (headers.get("a"), headers.all("a"), headers.get("c")) == ("1", ["1", "3"], None)
    assert "b" in headers and "c" not in headers
    assert list(headers) == [("a", "1"), ("b", "2"), ("a", "3")]
