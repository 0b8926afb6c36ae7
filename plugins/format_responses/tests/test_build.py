"""Requests for a provider of this format: patched, edited, and made from another format's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from routeiq_sdk import crossing
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Content, Message, OutputOptions, ReasoningOptions, Sampling, Tool, ToolChoice
from routeiq_sdk.stream import Cache, Media, Reasoning, Seal, Text, ToolCall, ToolResult
from routeiq_sdk.testing import deployment, request
from routeiq_sdk.wire import Asked, patch

from .test_request import CONVERSATION
from .wire import CODEC, R_TARGET, asked, losses, rebuilt, sent


def patched(body: bytes, target: Any = R_TARGET) -> bytes:
    given = CODEC.parse_request(body, Asked())
    return patch(body, given.members, CODEC.edits(given, target))


def test_the_same_format_changes_only_the_model() -> None:
    body = b'{ "model" : "m", "input":[ {"role":"user","content":"\\u00e9"} ], "x_new":{"b":1e400,"a":2},"store":null }'
    assert patched(body) == body.replace(b'"m"', b'"real"')


def test_defaults_of_a_deployment_are_spelled_as_this_format_does() -> None:
    target = deployment(model="m", defaults={"max_tokens": b"9", "reasoning_effort": b'"low"', "seed": b"1", "temperature": b"0.5"})
    made = json.loads(patched(b'{"model":"m","temperature":1}', target))
    assert made == {"model": "m", "temperature": 1, "max_output_tokens": 9, "reasoning": {"effort": "low"}}


def test_counting_tokens_has_its_own_path_and_no_defaults() -> None:
    given = CODEC.parse_request(b'{"model":"m","input":"x"}', Asked(operation="count_tokens"))
    target = deployment(model="m", defaults={"temperature": b"0.5"})
    assert CODEC.edits(given, target) == {}
    assert CODEC.upstream_path(given, target) == "/responses/input_tokens"
    assert CODEC.upstream_path(asked(), target) == "/responses"


def test_what_another_provider_left_does_not_go_up() -> None:
    wrapped = crossing.wrap(Reasoning(seal=Seal("s", "anthropic")), "anthropic")
    items = [
        {"type": "reasoning", "id": "rs_rq1", "summary": [], "encrypted_content": wrapped},
        {"type": "message", "id": "msg_rq2", "role": "assistant", "content": []},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    made = json.loads(patched(json.dumps({"model": "m", "input": items}).encode()))
    assert made["input"] == [{"type": "message", "role": "assistant", "content": []}, items[2]]


def edited(change: Any, **body: Any) -> dict[str, Any]:
    given = asked(**body)
    return rebuilt(change(given))


def test_an_edit_keeps_all_other_items_and_members() -> None:
    def redact(given: Any) -> Any:
        messages = list(given.messages)
        turn = messages[1]
        parts = tuple(Text(text="***", phase=part.phase) if isinstance(part, Text) else part for part in turn.parts)
        messages[1] = Message(role="assistant", parts=parts, phase=turn.phase, native=turn.native)
        return given.replace(messages=tuple(messages))

    body = {"input": CONVERSATION, "instructions": "Be brief.", "x_new": 1, "tools": [{"type": "web_search"}]}
    given = asked(**body)
    plain = given.replace(messages=given.messages)
    assert rebuilt(plain) == {"model": "real", "stream": True} | body

    made = edited(lambda one: redact(one.replace(messages=one.messages[1:])), **body)
    assert "instructions" not in made
    assert made["input"][2] == CONVERSATION[2] | {"content": [{"type": "output_text", "text": "***", "annotations": []}]}
    assert [made["input"][at] for at in (0, 1, 3, 4, 5, 6, 7)] == [CONVERSATION[at] for at in (0, 1, 3, 4, 5, 6, 7)]


def test_an_edited_string_stays_one() -> None:
    def shout(given: Any) -> Any:
        (message,) = given.messages
        return given.replace(messages=(Message(role="user", parts=(Text(text="HI"),), was_str=True, native=message.native),))

    assert edited(shout, input="Hi")["input"] == "HI"


def test_a_message_that_a_plugin_adds_is_an_item() -> None:
    added = Message(role="developer", parts=(Text(text="Be kind."),))
    made = edited(lambda given: given.replace(messages=(added, *given.messages)), input="Hi", instructions="Be brief.")
    assert made["instructions"] == "Be brief."
    assert [item["role"] for item in made["input"]] == ["developer", "user"]


def test_other_fields_are_edited_in_place() -> None:
    given = asked(
        reasoning={"effort": "high", "context": "auto"}, text={"format": {"type": "text"}, "verbosity": "low"}, user="a", store=True
    )
    content = given.content
    assert content.reasoning is not None
    changes: dict[str, Any] = {
        "reasoning": ReasoningOptions(effort="low", native=content.reasoning.native), "sampling": Sampling(temperature="0"),
        "output": OutputOptions(verbosity="high"), "max_output_tokens": 5, "end_user": "b",
        "named": {**content.named, "truncation": b'"auto"'},
    }  # fmt: skip
    made = rebuilt(given.replace(**changes))
    assert made["reasoning"] == {"effort": "low", "context": "auto"}
    assert (made["temperature"], made["max_output_tokens"], made["user"], made["truncation"], made["store"]) == (0, 5, "b", "auto", True)
    assert made["text"] == {"format": {"type": "text"}, "verbosity": "high"}


def test_tools_that_are_filtered_keep_their_namespace() -> None:
    tools = [
        {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [{"type": "function", "name": n} for n in ("a", "b")]},
        {"type": "mcp", "server_label": "d", "server_url": "u"},
    ]
    made = edited(lambda given: given.replace(tools=given.tools[1:]), tools=tools)
    assert made["tools"] == [tools[0] | {"tools": [{"type": "function", "name": "b"}]}, tools[1]]


TURNS = (
    Message(role="system", parts=(Text(text="Be brief."),)),
    Message(role="user", parts=(Text(text="Hi"), Media(modality="image", mime="image/png", data="AA"))),
    Message(role="assistant", parts=(Text(text="Wait."), ToolCall(call_id="toolu_1", name="my.tool", args='{"a":1.50}'))),
    Message(role="tool", parts=(ToolResult(call_id="toolu_1", parts=(Text(text="Sunny"),), is_error=True),)),
)


def test_a_conversation_of_another_format() -> None:
    alias = crossing.Names(*_openai()).alias("my.tool")
    made = sent(messages=TURNS)
    assert made["instructions"] == "Be brief." and made["store"] is False and made["include"] == ["reasoning.encrypted_content"]
    assert made["input"] == [
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"},
        ]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Wait.", "annotations": []}]},
        {"type": "function_call", "call_id": "toolu_1", "name": alias, "arguments": '{"a":1.50}'},
        {"type": "function_call_output", "call_id": "toolu_1", "output": "Error: Sunny"},
    ]  # fmt: skip
    assert losses(messages=TURNS) == ("tool_result.is_error;approx",)


def _openai() -> tuple:
    import re

    return re.compile(r"[A-Za-z0-9_-]{1,64}"), re.compile(r"[^A-Za-z0-9_-]"), 64


def test_it_sends_nothing_that_was_not_asked_for() -> None:
    assert sent() == {
        "model": "real", "input": [{"type": "message", "role": "user", "content": "Hello."}], "store": False,
        "include": ["reasoning.encrypted_content"],
    }  # fmt: skip


def test_the_same_request_gives_the_same_bytes() -> None:
    tools = (Tool(name="f", parameters=b'{"b":1,"a":1e400}'),)
    first, again = (CODEC.build_request(request(messages=TURNS, tools=tools), R_TARGET).body for _ in range(2))
    assert first == again and b'{"b":1,"a":1e400}' in first


def test_functions_are_not_strict_unless_asked() -> None:
    tools = (
        Tool(name="f", parameters=b'{"type":"object"}'),
        Tool(name="g", strict=True),
        Tool(name="h", kind="custom", grammar=b'{"syntax":"lark"}'),
    )
    assert sent(tools=tools)["tools"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
        {"type": "function", "name": "g", "parameters": None, "strict": True},
        {"type": "custom", "name": "h", "format": {"type": "grammar", "syntax": "lark"}},
    ]  # fmt: skip


def test_server_tools_and_mcp_are_written() -> None:
    search = Tool(
        name="web_search", kind="server", type="web_search_20250305", canonical="web_search", origin="anthropic",
        native=b'{"type":"web_search_20250305","allowed_domains":["a.com"],"user_location":{"type":"approximate","city":"Z"}}',
    )  # fmt: skip
    bash = Tool(name="bash", kind="server", type="bash_20250124", canonical="shell", origin="anthropic")
    mcp = Tool(name="docs", kind="mcp", server=b'{"label":"docs","url":"https://x","authorization":"t"}')
    made = sent(tools=(search, bash, mcp), tool_choice=ToolChoice(mode="required", allowed=("web_search",)))
    assert made["tools"] == [
        {"type": "web_search", "filters": {"allowed_domains": ["a.com"]}, "user_location": {"type": "approximate", "city": "Z"}},
        {"type": "mcp", "server_label": "docs", "server_url": "https://x", "authorization": "t", "require_approval": "never"},
    ]
    assert made["tool_choice"] == {"type": "web_search"}
    assert losses(tools=(search, bash)) == ("tools.web_search_20250305;approx", "tools.bash_20250124;drop")
    with pytest.raises(ClientError, match="bash"):
        sent(tools=(bash,), tool_choice=ToolChoice(mode="required", allowed=("bash",)))


F, G = Tool(name="f"), Tool(name="g", kind="custom")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(mode="none"), "none"), (ToolChoice(mode="required"), "required"), (ToolChoice(mode="validated"), "auto"),
        (ToolChoice(mode="required", allowed=("g",)), {"type": "custom", "name": "g"}),
        (ToolChoice(mode="auto", allowed=("f", "g")),
         {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]}),
    ],
)  # fmt: skip
def test_tool_choices_are_written(choice: ToolChoice, expected: Any) -> None:
    assert sent(tools=(F, G), tool_choice=choice)["tool_choice"] == expected


def test_no_parallel_calls_is_said_without_a_choice() -> None:
    made = sent(tools=(F,), tool_choice=ToolChoice(parallel=False))
    assert made["parallel_tool_calls"] is False and "tool_choice" not in made
    assert "parallel_tool_calls" not in sent(tool_choice=ToolChoice(parallel=False))


def test_options_of_other_formats() -> None:
    made = sent(
        reasoning=ReasoningOptions(mode="budget", budget_tokens=10_000, show="summary"), max_output_tokens=9, end_user="u" * 100,
        output=OutputOptions(type="schema", schema=b'{"b":1}', verbosity="low"),
        sampling=Sampling(top_p="0.90", logprobs=True, top_logprobs=2),
        service_tier="standard_only", metadata=b'{"k":"v"}', named={"cache.key": b'"pk"', "store": b"true", "speed": b'"fast"'},
    )  # fmt: skip
    assert made["reasoning"] == {"effort": "medium", "summary": "auto"}
    assert made["text"] == {"verbosity": "low", "format": {"type": "json_schema", "name": "response", "schema": {"b": 1}}}
    assert made["include"] == ["reasoning.encrypted_content", "message.output_text.logprobs"] and made["top_logprobs"] == 2
    assert (made["service_tier"], made["prompt_cache_key"], made["store"]) == ("default", "pk", True)
    assert len(made["safety_identifier"]) == 64 and made["metadata"] == {"k": "v"} and made["max_output_tokens"] == 9


def test_what_it_cannot_express_is_reported() -> None:
    sampling = Sampling(top_k="1", seed="2", n=3, stop=("x",), logit_bias=b"{}", frequency_penalty="0", presence_penalty="0")
    found = losses(sampling=sampling, named={"prediction": b"{}", "betas": b'["x"]'}, ext={"x_new": b"1"})
    assert sorted(found) == sorted([
        "top_k;drop", "seed;drop", "n;drop", "stop;drop", "logit_bias;drop", "frequency_penalty;drop", "presence_penalty;drop",
        "prediction;drop", "betas;drop", "ext.x_new;drop",
    ])  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"named": {"modalities": b'["text","audio"]'}}, {"named": {"cached_content": b'"c"'}}, {"max_output_tokens": 0},
        {"messages": (Message(role="tool", parts=(ToolResult(call_id="lost"),)),)},
    ],
)  # fmt: skip
def test_what_would_be_wrong_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ClientError):
        sent(**fields)


def test_calls_without_results_and_a_prefill() -> None:
    call = Message(role="assistant", parts=(ToolCall(call_id="c1", name="f"),))
    user = Message(role="user", parts=(Text(text="Hi"),))
    assert [item["type"] for item in sent(messages=(call, user))["input"]] == ["function_call", "function_call_output", "message"]
    assert losses(messages=(call, user)) == ("tool_result.missing;approx",)
    assert losses(messages=(user, Message(role="assistant", parts=(Text(text="So"),)))) == ("prefill;approx",)


def test_thoughts_go_only_to_their_own_family() -> None:
    foreign = Message(role="assistant", parts=(Reasoning(text="x", seal=Seal("s", "anthropic")), Text(text="Hi")))
    user = Message(role="user", parts=(Text(text="Go on."),))
    assert losses(messages=(foreign, user)) == ("reasoning.content;drop",)
    item = b'{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"enc"}'
    wrapped = crossing.unwrap(crossing.wrap(Reasoning(seal=Seal("enc", "openai"), native=item), "openai"))
    made = sent(messages=(Message(role="assistant", parts=(wrapped, Text(text="Hi"))), user))
    assert made["input"][0] == json.loads(item)


def test_breakpoints_of_the_cache() -> None:
    marked = Message(role="user", parts=(Text(text="Hi", cache=Cache(300), origin="anthropic"),))
    made = sent(messages=(marked,))
    assert made["input"][0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "30m"}
    assert losses(messages=(marked,) * 6) == ("cache;approx", "cache;drop")


def test_an_empty_content_is_a_request() -> None:
    assert Content() == request(messages=()).replace(messages=()).content
    assert sent(messages=())["model"] == "real"


ADDED = {
    "type": "additional_tools", "role": "developer",
    "tools": [{
        "type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}, {"type": "function", "name": "wait"}]}],
}  # fmt: skip
"""As coding agents offer tools: in the conversation, without a member `tools`."""


def test_tools_in_the_conversation_are_tools_of_the_request() -> None:
    given = asked(input=[ADDED, {"role": "user", "content": "go"}])
    assert [(tool.namespace, tool.name, tool.kind) for tool in given.tools] == [
        ("functions", "exec", "custom"),
        ("functions", "wait", "function"),
    ]
    assert given.messages[0].parts == ()
    assert rebuilt(given) == {"model": "real", **{name: value for name, value in json.loads(given.body).items() if name != "model"}}


def test_tools_in_the_conversation_stay_there_when_others_are_added() -> None:
    made = edited(lambda given: given.replace(tools=(*given.tools, Tool(name="more"))), input=[ADDED])
    assert made["input"] == [ADDED]
    assert [tool["name"] for tool in made["tools"]] == ["more"]


def test_a_tool_that_is_taken_away_is_gone_from_the_conversation_too() -> None:
    made = edited(lambda given: given.replace(tools=given.tools[1:]), input=[ADDED, {"role": "user", "content": "go"}])
    assert made["input"] == [{"role": "user", "content": "go"}]
    assert made["tools"] == [{"type": "namespace", "name": "functions", "description": "", "tools": [{"type": "function", "name": "wait"}]}]


def test_a_wrong_tool_in_the_conversation_is_refused_with_its_place() -> None:
    with pytest.raises(ClientError, match=r"input\[0\]\.tools\[0\]"):
        _ = asked(input=[{**ADDED, "tools": [{"type": "function", "name": 5}]}]).tools


@pytest.mark.parametrize(
    ("model", "info", "asked"),
    [
        ("gpt-5", {}, True),
        ("gpt-4o", {}, False),
        ("my-own", {"base_model": "azure/gpt-4.1"}, False),
        ("gpt-4o", {"supports_reasoning": True}, True),
        ("gpt-5", {"supports_reasoning": False}, False),
    ],
)
def test_models_that_never_reason_are_not_asked_for_its_state(model: str, info: dict[str, object], asked: bool) -> None:
    made = json.loads(CODEC.build_request(request(), deployment(provider="openai", model=model, info=info)).body)
    assert ("include" in made) is asked
