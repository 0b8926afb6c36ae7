"""What the demo model answers: it repeats the question, calls a tool when asked for one, quotes a tool's result, or writes JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct
from routeiq_sdk import Content, Message, Tool
from routeiq_sdk.stream import Block, Text, ToolCall, ToolResult
from routeiq_sdk.wire import dumps

from .schema import example
from .words import shortened

GREETING = "Hello! I am the demo model of this gateway."
REPEATED_WORDS = 2000
ASKS_FOR_TOOL = re.compile(r"\b(weather|tools?)\b", re.IGNORECASE)


class Reply(Struct, frozen=True):
    """`block` is the empty shell, `text` what fills its `field`."""

    block: Block
    text: str
    field: str = "text"
    stop: str = "stop"
    sequence: str | None = None


def compose(content: Content) -> Reply:
    results, question = _results(content.messages), _question(content.messages)
    tool = None if results else _wanted_tool(content, question)
    return _limited(_call(tool, question) if tool else _answer(content, question, results), content.max_output_tokens)


def _results(messages: Sequence[Message]) -> list[ToolResult]:
    """The tool results that came after the model's last turn."""
    last = max((place for place, message in enumerate(messages) if message.role == "assistant"), default=-1)
    return [part for message in messages[last + 1 :] for part in message.parts if isinstance(part, ToolResult)]


def _question(messages: Sequence[Message]) -> str:
    for message in reversed(messages):
        text = _text(message.parts) if message.role == "user" else ""
        if text:
            return text
    return ""


def _text(parts: Sequence[Block]) -> str:
    return " ".join(part.text for part in parts if isinstance(part, Text)).strip()


def _wanted_tool(content: Content, question: str) -> Tool | None:
    choice = content.tool_choice
    allowed = choice.allowed if choice else ()
    tools = [tool for tool in content.tools if tool.kind != "server" and (not allowed or tool.name in allowed)]
    if not tools or (choice and choice.mode == "none"):
        return None
    said = question.lower()
    named = [tool for tool in tools if tool.name.lower() in said or tool.name.lower().replace("_", " ") in said]
    about_weather = [tool for tool in tools if "weather" in said and "weather" in f"{tool.name} {tool.description}".lower()]
    if named or ASKS_FOR_TOOL.search(question) or (choice and choice.mode == "required"):
        return (*named, *about_weather, *tools)[0]
    return None


def _call(tool: Tool, question: str) -> Reply:
    if tool.kind == "custom":
        return Reply(ToolCall(call_id="", name=tool.name, kind="custom", input=""), question, "input", "tool_use")
    return Reply(ToolCall(call_id="", name=tool.name), dumps(example(tool.parameters, question, {})).decode(), "args", "tool_use")


def _answer(content: Content, question: str, results: Sequence[ToolResult]) -> Reply:
    words = " ".join(question.split()[:REPEATED_WORDS])
    text = f"{GREETING} You said: {words}" if words else GREETING
    if results:
        text = " ".join(map(_quoted, results))
    output = content.output
    if output is not None and output.type != "text":
        source = " ".join(_text(result.parts) for result in results) or question
        text = dumps({"answer": text} if output.type == "json" else example(output.schema, source, {})).decode()
    return _stopped(text, content.sampling.stop)


def _quoted(result: ToolResult) -> str:
    return f"The tool {result.name or result.call_id} {'failed' if result.is_error else 'answered'}: {_text(result.parts)}"


def _stopped(text: str, sequences: Sequence[str]) -> Reply:
    found = sorted((place, sequence) for sequence in sequences if sequence and (place := text.find(sequence)) >= 0)
    if not found:
        return Reply(Text(), text)
    place, sequence = found[0]
    return Reply(Text(), text[:place], stop="stop_sequence", sequence=sequence)


def _limited(reply: Reply, limit: int | None) -> Reply:
    text = reply.text if limit is None else shortened(reply.text, limit)
    return reply if text == reply.text else Reply(reply.block, text, reply.field, "length")
