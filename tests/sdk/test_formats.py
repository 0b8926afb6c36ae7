"""What the codecs share: JSON of any text, waits that providers ask for, estimates of tokens; and how the test kit finds a codec."""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest
from msgspec import Raw
from routeiq_sdk.crossing import REFUSED, refuse
from routeiq_sdk.errors import ClientError
from routeiq_sdk.estimate import tokens
from routeiq_sdk.openai_requests import asking_usage
from routeiq_sdk.request import Tool
from routeiq_sdk.retry import MAX_WAIT_S, error_headers, retry_after
from routeiq_sdk.stream import Citation, Error, Media, Text
from routeiq_sdk.surrogates import dump
from routeiq_sdk.testing import codec, request


@pytest.mark.parametrize("name", ["openai", "openai_completions", "responses", "anthropic", "gemini", "gemini_array"])
def test_a_codec_is_found_by_the_name_of_its_format(name: str) -> None:
    assert codec(name).name == name


def test_a_format_that_nobody_registers_is_named() -> None:
    with pytest.raises(LookupError, match="'odd'"):
        codec("odd")


@pytest.mark.parametrize("value", ["é", "\ud83d", {"\ud83d": ["\udc00", 1.5, None]}, [{"a": "\ud83d"}], Citation(title="\ud83d")])
def test_lone_surrogates_stay_as_they_are(value: object) -> None:
    expected = {"title": "\ud83d"} if isinstance(value, Citation) else value
    got = json.loads(dump(value))
    assert got == expected or got["title"] == "\ud83d"


def test_what_is_json_already_keeps_its_spelling() -> None:
    assert dump({"a": "\ud83d", "b": Raw(b"1.50")}) == b'{"a":"\\ud83d","b":1.50}'


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "7", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e9"}, MAX_WAIT_S),
        ({"retry-after": "soon"}, None),
        ({"retry-after": formatdate(1_000_030, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(1_000_030, usegmt=True), "date": formatdate(1_000_010, usegmt=True)}, 20.0),
        ({"retry-after": formatdate(1_000_030, usegmt=True), "date": "never"}, None),
    ],
)
def test_a_provider_says_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, 1_000_000) == seconds


def test_a_date_without_any_clock_says_nothing() -> None:
    assert retry_after({"retry-after": formatdate(30, usegmt=True)}) is None


def test_the_client_is_told_whole_seconds() -> None:
    assert error_headers(Error(kind="server", message="m", retry_after_s=1.2))[1:] == [(b"retry-after", b"2")]
    assert len(error_headers(Error(kind="server", message="m"))) == 1


def test_an_estimate_counts_text_tools_and_media() -> None:
    asked = request("12345678", tools=(Tool(name="name", parameters=b"{}{}"),))
    assert tokens(asked, lambda media: 1) == (4 + 2) + (20 + 1 + 1)
    pictured = asked.replace(messages=(asked.messages[0], *request("x").messages), tools=())
    first = pictured.messages[0]
    shown = pictured.replace(messages=(type(first)(role="user", parts=(Text(text="1234"), Media(modality="image", url="u"))),))
    assert tokens(shown, lambda media: 100) == 4 + 1 + 100


@pytest.mark.parametrize("options", [b"", b"null", b"[]", b"7", b'{"include_usage":false}'])
def test_usage_is_asked_for_whatever_the_client_sent(options: bytes) -> None:
    assert json.loads(asking_usage(options)) == {"include_usage": True}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_make_another_answer_is_refused_with_a_reason(name: str) -> None:
    refuse(name, b"null")
    refuse(name, b"false")
    with pytest.raises(ClientError, match=f"{name}: .{{20}}"):
        refuse(name, b'"x"')
