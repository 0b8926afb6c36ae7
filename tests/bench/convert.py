"""What it costs to convert a prompt of 1 MB from one wire format to another: read the client's body, write the provider's. Prints ms.

The prompt is a coding agent's: a system message, ten tools, and forty messages that take turns as a user's text, text with two
tool calls, and the calls' results of some 42 KB. The text is code and prose with newlines, quotes, `\\u` escapes and some letters
beyond ASCII. The other formats' bodies are what their codecs make of it. A figure is the minimum of its rounds.
"""

from __future__ import annotations

import gc
import json
import time
from itertools import permutations
from typing import Any

from routeiq_format_anthropic.codec import AnthropicCodec
from routeiq_format_gemini.codec import GeminiCodec
from routeiq_format_openai.codec import ChatCodec
from routeiq_format_responses.codec import ResponsesCodec
from routeiq_sdk.resources import Deployment
from routeiq_sdk.wire import Asked, Codec

SIZE, MESSAGES, ROUNDS = 1_000_000, 40, 15
CODE = '''def total(rows: list[dict]) -> float:
    """Die Summe über alle Zeilen, “wie gezählt” — ✓."""
    return sum(row["price"] for row in rows)

'''
PROSE = "The quick brown fox reads C:\\temp\\log.txt and reports 3 < 5 && 7 > 2. "
TEXT = (CODE + PROSE * 6 + "\x1b[0m\n") * 60
DEPLOYMENT = Deployment(id="d", group="m", provider="p", model="m-1")


def conversation(size: int = SIZE, count: int = MESSAGES) -> bytes:
    """As Chat Completions has it, of about `size` bytes."""
    part = size * 2 // count * 5 // 6
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You are an agent. " + text(4000)}]
    for number in range(count // 4):
        calls = [call(f"call_{number}_{place}") for place in "ab"]
        messages += [
            {"role": "user", "content": text(2000)},
            {"role": "assistant", "content": text(1000), "tool_calls": calls},
            *({"role": "tool", "tool_call_id": each["id"], "content": text(part)} for each in calls),
        ]
    messages.append({"role": "user", "content": [{"type": "text", "text": "Go on."}]})
    tools = [
        {"type": "function", "function": {"name": f"tool_{number}", "description": PROSE, "parameters": SCHEMA}} for number in range(10)
    ]
    body = {"model": "m", "messages": messages, "tools": tools, "max_tokens": 4096, "temperature": 0.2, "stream": True}
    return json.dumps(body, ensure_ascii=False).replace("ü", "\\u00fc").encode()


def text(size: int) -> str:
    return (TEXT * (size // len(TEXT) + 1))[:size]


def call(call_id: str) -> dict[str, Any]:
    arguments = json.dumps({"path": "src/main.py", "content": text(500)})
    return {"id": call_id, "type": "function", "function": {"name": "tool_1", "arguments": arguments}}


SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string", "description": PROSE}, "content": {"type": "string"}, "limit": {"type": "integer"}},
    "required": ["path"],
}


def codecs() -> dict[str, Codec]:
    made: list[Codec] = [ChatCodec(time.time), AnthropicCodec(None, None, lambda: ()), ResponsesCodec(time.time), GeminiCodec()]
    return {codec.name: codec for codec in made}


def convert_ms(source: Codec, target: Codec, body: bytes, rounds: int = ROUNDS) -> float:
    asked = Asked(path="/v1beta/models/m:streamGenerateContent", params={"model": "m"})
    times = []
    for _ in range(rounds):
        start = time.process_time()
        target.build_request(source.parse_request(body, asked), DEPLOYMENT)
        times.append(time.process_time() - start)
    return min(times) * 1000


def main() -> None:
    known = codecs()
    prompt = known["openai"].parse_request(conversation(), Asked())
    bodies = {name: prompt.body if name == "openai" else codec.build_request(prompt, DEPLOYMENT).body for name, codec in known.items()}
    gc.collect()
    gc.freeze()
    pairs = {f"{a}→{b}": round(convert_ms(known[a], known[b], bodies[a]), 1) for a, b in permutations(known, 2)}
    print(json.dumps({"convert_ms": max(pairs.values()), **pairs}, ensure_ascii=False))


if __name__ == "__main__":
    main()
