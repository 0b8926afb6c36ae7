"""What the demo model answers, and that its events keep the rules."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from routeiq_provider_demo.plugin import Config, DemoProvider
from routeiq_provider_demo.schema import example
from routeiq_provider_demo.words import pieces, shortened, tokens
from routeiq_sdk import CLOCK, Message, Request, Tool
from routeiq_sdk.request import OutputOptions, Sampling, ToolChoice
from routeiq_sdk.stream import BlockDelta, BlockStart, Event, MessageStart, Stop, Text, ToolCall, ToolResult, Usage
from routeiq_sdk.testing import Context, FakeClock, check_events, deployment, request, summary

WEATHER = Tool(
    name="get_weather",
    parameters=b'{"type":"object","properties":{"city":{"type":"string"},"unit":{"enum":["celsius","fahrenheit"]}},"required":["city","unit"]}',
)
SEARCH = Tool(name="search_docs", parameters=b'{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}')


async def ask(asked: Request, provider: DemoProvider | None = None) -> list[Event]:
    found = [event async for event in (provider or DemoProvider(Config())).generate(asked, deployment(model="echo"))]
    assert check_events(found) == []
    return found


async def text_of(asked: Request) -> tuple[str, str | None]:
    said = summary(await ask(asked))
    return said["text"], said["stop"]


async def call_of(asked: Request) -> tuple[str, Any] | None:
    said = summary(await ask(asked))
    assert said["stop"] == ("tool_use" if said["tools"] else "stop")
    return (said["tools"][0][0], json.loads(said["tools"][0][1])) if said["tools"] else None


async def test_it_greets_and_repeats_the_question_word_by_word() -> None:
    events = await ask(request(text="What is  the nonce 4711?"))
    words = [event.value for event in events if isinstance(event, BlockDelta)]
    assert "".join(words).startswith("Hello!")
    assert words[-5:] == [" What", " is", " the", " nonce", " 4711?"]
    assert summary(events)["outcome"] == "complete"


async def test_the_same_request_gives_the_same_answer_and_another_one_other_ids() -> None:
    first, again, other = await ask(request(text="a")), await ask(request(text="a")), await ask(request(text="b"))
    assert first == again
    assert first[0].id != other[0].id  # type: ignore[attr-defined]


async def test_it_counts_what_it_read_and_wrote() -> None:
    events = await ask(request(text="one three5"))
    usages = [event for event in events if isinstance(event, Usage)]
    assert [usage.final for usage in usages] == [False, True]
    assert (usages[0].parts.input, usages[0].parts.output) == (3, None)
    assert (usages[1].parts.input, usages[1].parts.output) == (3, tokens(summary(events)["text"]))


async def test_it_names_its_model_and_the_time(tmp_path: Path) -> None:
    provider = DemoProvider(Config())
    async with provider.lifespan(Context(tmp_path, services={CLOCK: FakeClock(1234.9)})):
        start = (await ask(request(), provider))[0]
    assert isinstance(start, MessageStart)
    assert (start.model, start.created_s) == ("echo", 1234)


async def test_a_pause_before_each_word_changes_nothing_else() -> None:
    assert await ask(request(), DemoProvider(Config(delay_s=1e-9))) == await ask(request())


@pytest.mark.parametrize(
    ("text", "choice", "called"),
    [
        ("What is the weather in Paris?", None, "get_weather"),
        ("Use a tool.", None, "search_docs"),
        ("Please get weather now", None, "get_weather"),
        ("search_docs for me", None, "search_docs"),
        ("Hello.", None, None),
        ("A footstool.", None, None),
        ("What is the weather in Paris?", ToolChoice(mode="none"), None),
        ("Hello.", ToolChoice(mode="required"), "search_docs"),
        ("Hello.", ToolChoice(mode="required", allowed=("get_weather",)), "get_weather"),
        ("Use a tool.", ToolChoice(allowed=("get_weather",)), "get_weather"),
    ],
)
async def test_it_calls_a_tool_when_it_is_asked_for_one(text: str, choice: ToolChoice | None, called: str | None) -> None:
    found = await call_of(request(text=text, tools=(SEARCH, WEATHER), tool_choice=choice))
    assert (found[0] if found else None) == called


async def test_arguments_come_from_the_schema_and_the_question() -> None:
    found = await call_of(request(text="What is the weather in New York, in fahrenheit?", tools=(WEATHER,)))
    assert found == ("get_weather", {"city": "New York", "unit": "fahrenheit"})


async def test_a_call_has_an_id_and_a_custom_tool_gets_text() -> None:
    events = await ask(request(text="Use the tool.", tools=(Tool(name="shell", kind="custom"),)))
    start = next(event for event in events if isinstance(event, BlockStart))
    assert isinstance(start.block, ToolCall)
    assert (start.block.call_id[:5], start.block.kind) == ("call_", "custom")
    assert "".join(event.value for event in events if isinstance(event, BlockDelta) and event.field == "input") == "Use the tool."


async def test_tools_of_the_provider_and_no_tools_are_not_called() -> None:
    assert await call_of(request(text="Use a tool.", tools=(Tool(name="web_search", kind="server"),))) is None
    assert await call_of(request(text="What is the weather?")) is None


def second_turn(**content: Any) -> Request:
    call, result = (
        ToolCall(call_id="c1", name="get_weather", args="{}"),
        ToolResult(call_id="c1", name="get_weather", parts=(Text(text="12 degrees"),)),
    )
    messages = (
        Message(role="user", parts=(Text(text="What is the weather?"),)),
        Message(role="assistant", parts=(call,)),
        Message(role="tool", parts=(result,)),
    )
    return request(messages=messages, tools=(WEATHER,), **content)


@pytest.mark.parametrize("choice", [None, ToolChoice(mode="required")])
async def test_a_tool_result_is_quoted_and_ends_the_calls(choice: ToolChoice | None) -> None:
    assert await text_of(second_turn(tool_choice=choice)) == ("The tool get_weather answered: 12 degrees", "stop")


async def test_a_question_after_the_results_may_call_again() -> None:
    asked = second_turn()
    more = (
        *asked.messages,
        Message(role="assistant", parts=(Text(text="12"),)),
        Message(role="user", parts=(Text(text="And the weather in Rome?"),)),
    )
    assert await call_of(asked.replace(messages=more)) == ("get_weather", {"city": "Rome", "unit": "celsius"})


async def test_output_stops_at_its_limit() -> None:
    said, stop = await text_of(request(text="a b c", max_output_tokens=3))
    assert (said, stop, tokens(said)) == ("Hello! I", "length", 3)
    cut = summary(await ask(request(text="Use a tool.", tools=(WEATHER,), max_output_tokens=2)))
    assert (cut["stop"], len(cut["tools"][0][1])) == ("length", 8)
    assert await text_of(request(max_output_tokens=0)) == ("", "length")


async def test_output_stops_before_the_first_stop_sequence() -> None:
    events = await ask(request(text="count one two three", sampling=Sampling(stop=("two", "one", "", "absent"))))
    stop = next(event for event in events if isinstance(event, Stop))
    assert (stop.reason, stop.sequence) == ("stop_sequence", "one")
    assert summary(events)["text"].endswith("You said: count ")


async def test_json_output_is_json() -> None:
    said, _ = await text_of(request(text="Hi", output=OutputOptions(type="json")))
    assert "Hi" in json.loads(said)["answer"]
    schema = b'{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":18}},"required":["name","age"]}'
    said, _ = await text_of(request(text="This is about Ada, aged 36.", output=OutputOptions(type="schema", schema=schema)))
    assert json.loads(said) == {"name": "Ada", "age": 36}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "Use it"),
        ({"type": "string", "minLength": 8}, "Use it.."),
        ({"type": "string", "maxLength": 3}, "Use"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": ["null", "boolean"]}, True),
        ({"type": "null"}, None),
        ({"type": "integer", "exclusiveMinimum": 7}, 8),
        ({"type": "integer", "minimum": 7, "multipleOf": 5}, 10),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number", "maximum": -3}, -3),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "array", "maxItems": 0}, []),
        ({"prefixItems": [{"const": "a"}, {"const": 2}]}, ["a", 2]),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
        (
            {"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": {"const": 2}}, "required": ["b"]}]},
            {"a": 1, "b": 2},
        ),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"enum": ["x"]}}}, "x"),
        ({"default": 5}, 5),
        ({"properties": {"optional": {"type": "string"}}}, {}),
        ({"required": ["a"], "properties": {"a": True}}, {"a": "Use it"}),
    ],
)
def test_a_schema_gets_a_value_that_satisfies_it(schema: dict[str, Any], expected: Any) -> None:
    found = example(json.dumps(schema).encode(), "Use it", None)
    assert found == expected or sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    "schema",
    [
        b"", b"[]", b"{", b"null", b'{"type":7,"required":3,"properties":[],"enum":{},"minLength":"x"}', b'{"$ref":"#"}', b'{"$ref":7}',
        b'{"type":"array","minItems":1e9,"items":{"type":"array","minItems":1e9}}', b'{"type":"string","minLength":1e12}',
        b'{"type":"object","required":["a","b"],"properties":{"a":{"$ref":"#"},"b":{"$ref":"#"}}}', b'{"type":"integer","multipleOf":0}',
        b'{"anyOf":[{"anyOf":[{"$ref":"#"}]}]}', b'{"type":"number","minimum":1e308,"maximum":-1e308}',
        b'{"type":"integer","minimum":1e400}',
    ],
)  # fmt: skip
def test_a_strange_schema_neither_fails_nor_takes_long(schema: bytes) -> None:
    assert len(json.dumps(example(schema, "text 1e5 9", {}))) < 100_000


@pytest.mark.parametrize("text", ["", "  a  b\n", "word" * 50, "schön 🙂 x", "\n\n"])
def test_pieces_make_the_text_again(text: str) -> None:
    assert "".join(pieces(text)) == text


@pytest.mark.parametrize("limit", range(9))
def test_shortened_text_is_within_its_limit_and_whole_characters(limit: int) -> None:
    text = "ab 🙂🙂🙂 longer-word  end"
    short = shortened(text, limit)
    assert text.startswith(short)
    assert limit - 1 <= tokens(short) <= limit or short == text


MANY = [f"p{number}" for number in range(999)]
BIG = {f"q{number}": True for number in range(20_000)}


def _each(schema: dict[str, Any]) -> dict[str, Any]:
    """An object of many properties that all have the one schema."""
    return {"$defs": {"a": schema}, "required": MANY, "properties": {name: {"$ref": "#/$defs/a"} for name in MANY}}


COSTLY = {
    "strings": _each({"type": "string"}),
    "arms": {"allOf": [{"properties": {f"p{n}_{m}": True for m in range(20)}} for n in range(3000)]},
    "references": _each({"allOf": [{"properties": BIG}]}),
    "names": {"required": list(BIG), "properties": {name: {"$ref": "#"} for name in BIG}},
    "a long reference": _each({"$ref": "/" * 500_000}),
    "a large default": _each({"default": "x" * 500_000}),
    "a large enum": _each({"enum": MANY * 20}),
    "numbers": _each({"type": "number", "multipleOf": 7919}),
}


@pytest.mark.parametrize("text", ["“" * 2000, "1 " * 1000, "in " * 700])
@pytest.mark.parametrize("name", list(COSTLY))
def test_a_costly_schema_takes_no_seconds(name: str, text: str) -> None:
    schema = json.dumps({"type": "object", **COSTLY[name]}).encode()
    began = time.process_time()
    example(schema, text, {})
    assert time.process_time() - began < 1


def test_quotes_inside_quotes_and_all_arms_are_found() -> None:
    assert example(b'{"type":"string"}', "say “one «two» three”", "") == "two"
    arms = [{"required": [name], "properties": {name: {"const": number}}} for number, name in enumerate("ab", 1)]
    assert example(json.dumps({"type": "object", "allOf": arms}).encode(), "", {}) == {"a": 1, "b": 2}
