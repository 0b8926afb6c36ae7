"""Counts against numbers that OpenAI's own tokenizer gave, and what an estimate is."""

from __future__ import annotations

import time

import pytest
from routeiq_models.counter import LIMIT, PIECE, Counter
from routeiq_models.media import media_tokens
from routeiq_models.vocabulary import Vocabularies, by_length
from routeiq_sdk import ClientError, Request
from routeiq_sdk.request import Message, Tool
from routeiq_sdk.stream import Media, Text, ToolCall, ToolResult
from routeiq_sdk.testing import deployment, request

GPT = deployment(provider="openai", model="gpt-4o-2024-08-06")
OLD = deployment(provider="openai", model="gpt-4-0613")
CLAUDE = deployment(provider="anthropic", model="claude-sonnet-4-5")
COUNTER = Counter()


@pytest.mark.parametrize(
    ("text", "new", "old"),
    [
        ("", 0, 0),
        ("hello world", 2, 2),
        ("tiktoken is great!", 6, 6),
        ("antidisestablishmentarianism", 6, 6),
        ("2 + 2 = 4", 7, 7),
        ("お誕生日おめでとう", 8, 9),
        ("<|endoftext|>", 7, 7),
    ],
)
def test_openai_models_have_their_own_vocabulary(text: str, new: int, old: int) -> None:
    assert COUNTER.count(text, GPT) == (new, False)
    assert COUNTER.count(text, OLD) == (old, False)


@pytest.mark.parametrize("model", ["gpt-5", "gpt-4.1-mini", "o3", "o4-mini", "chatgpt-4o-latest", "ft:gpt-4o-mini:acme::1", "gpt-oss-120b"])
def test_newer_models_count_by_o200k(model: str) -> None:
    family = Vocabularies().family(model)
    assert (family.encoding, family.factor) == ("o200k_base", None)


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "gpt-35-turbo", "text-embedding-3-small"])
def test_older_models_count_by_cl100k(model: str) -> None:
    family = Vocabularies().family(model)
    assert (family.encoding, family.factor) == ("cl100k_base", None)


@pytest.mark.parametrize(
    ("model", "factor"),
    [("claude-3-5-haiku-20241022", 1.18), ("claude-opus-4-6", 1.18), ("claude-opus-4-7", 1.54), ("claude-sonnet-5", 1.54),
     ("anthropic/claude-sonnet-4.5", 1.18), ("gemini-2.5-pro", 1.05), ("meta-llama/Llama-3.3-70B", 1.0), ("what-is-it", 1.05)],
)  # fmt: skip
def test_other_models_are_estimated_by_a_factor(model: str, factor: float) -> None:
    assert Vocabularies().family(model).factor == factor


def test_an_estimate_says_so() -> None:
    assert COUNTER.count("hello world", CLAUDE) == (3, True)


def test_the_base_model_names_the_tokenizer() -> None:
    azure = deployment(provider="azure", model="my-own-name", info={"base_model": "gpt-4o"})
    assert COUNTER.count("hello world", azure) == (2, False)


def test_a_machine_without_the_vocabularies_estimates_by_length() -> None:
    assert Vocabularies().count("no_such_encoding") is None
    assert (by_length(""), by_length("abcde"), by_length("é\ud800")) == (0, 2, 1)


def test_a_long_text_counts_alike_in_pieces() -> None:
    words = "".join(f"The {number}th line, it's  odd;\n\n\tmore of é́ and 漢字\n" for number in range(4_000))
    assert len(words) > 2 * PIECE
    whole = Vocabularies().count("o200k_base")
    assert whole is not None
    assert COUNTER.count(words, GPT) == (whole(words), False)


@pytest.mark.parametrize("text", ["a" * 300_000, " " * 300_000, "\n" * 300_000, "漢" * 100_000, "\ud800" * 70_000, "!" * 300_000])
def test_odd_texts_count_in_bounded_time(text: str) -> None:
    started = time.perf_counter()
    tokens, estimated = COUNTER.count(text, GPT)
    assert 0 < tokens <= len(text.encode("utf-8", "replace")) and estimated
    assert time.perf_counter() - started < 2


def test_what_is_very_long_is_sampled() -> None:
    text = "All work and no play makes Jack a dull boy. " * 100_000
    assert len(text) > 4 * LIMIT
    started = time.perf_counter()
    tokens, estimated = COUNTER.count(text, GPT)
    assert time.perf_counter() - started < 2
    assert estimated and abs(tokens - 1_100_000) < 11_000


def test_a_request_of_text_is_counted_by_the_recipe() -> None:
    tokens, estimated = COUNTER.count_request(request(text="hello world"), GPT)
    assert (tokens, estimated) == (3 + 3 + 1 + 2, False)


def test_tools_and_their_results_are_counted() -> None:
    call = ToolCall(call_id="c", name="weather", args='{"city":"Berlin"}')
    result = ToolResult(call_id="c", parts=(Text(text="sunny and warm"),))
    messages = (Message(role="assistant", parts=(call,)), Message(role="tool", parts=(result,)))
    bare = COUNTER.count_request(request(messages=messages), GPT)
    tool = Tool(
        name="weather", description="The weather of a city.", parameters=b'{"type":"object","properties":{"city":{"type":"string"}}}'
    )
    with_tool = COUNTER.count_request(request(messages=messages, tools=(tool,)), GPT)
    assert bare == (3 + 2 * (3 + 1) + 1 + 6 + 3, True)
    assert with_tool[0] > bare[0] + 12 + 10


@pytest.mark.parametrize(
    ("part", "provider", "tokens"),
    [
        (Media(modality="image", url="https://example.com/a.png"), "openai", 765),
        (Media(modality="image", data="AAAA", detail="low"), "openai", 85),
        (Media(modality="image", data="AAAA"), "anthropic", 1_600),
        (Media(modality="audio", data="A" * 64_000), "openai", 32 * 4),
        (Media(modality="document", data="A" * 400_000), "anthropic", 1_500 * 7),
        (Media(modality="document", file_id="f"), "anthropic", 1_500 * 5),
        (Media(modality="video", url="https://example.com/a.mp4"), "gemini", 263 * 60),
        (Media(modality="document", text="plain"), "anthropic", 0),
    ],
)
def test_media_count_by_documented_constants(part: Media, provider: str, tokens: int) -> None:
    assert media_tokens(part, provider) == tokens
    message = Message(role="user", parts=(part,))
    assert COUNTER.count_request(request(messages=(message,)), GPT)[1]


def test_a_request_of_many_small_texts_is_bounded() -> None:
    parts = tuple(Text(text="word ") for _ in range(200_000))
    started = time.perf_counter()
    tokens, estimated = COUNTER.count_request(request(messages=(Message(role="user", parts=parts),)), GPT)
    assert estimated and abs(tokens - 200_000) < 20_000
    assert time.perf_counter() - started < 3


def test_a_body_that_cannot_be_parsed_is_estimated_by_its_length() -> None:
    def refuse(_: Request) -> None:
        raise ClientError("no")

    broken = Request(format="openai", model="m", stream=False, body=b"x" * 41, parse=refuse)
    assert COUNTER.count_request(broken, GPT) == (11, True)
