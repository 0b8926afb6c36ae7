"""A client that keeps every byte: it sends one request to the gateway and says what it got, whatever that is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from http.client import HTTPConnection, HTTPException
from typing import Any

from attrs import evolve
from routeiq_sdk.testing import codec

from tests.integration.harness import CALLS, KEY

from .conduct import Answer


def ask(url: str, dialect: str, stream: bool, model: str, patience_s: float = 60.0) -> Answer:
    """`dialect`: openai or anthropic."""
    path, build = CALLS[dialect]
    body = build("Say sixty tokens.", model, stream=stream)
    if stream and dialect == "openai":
        body["stream_options"] = {"include_usage": True}
    sent_s, data, cut = time.monotonic(), bytearray(), False
    with closing(HTTPConnection(url.removeprefix("http://"), timeout=patience_s)) as connection:
        connection.request("POST", path, json.dumps(body), {"authorization": f"Bearer {KEY}", "content-type": "application/json"})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        try:
            while piece := response.read1():
                data += piece
        except (HTTPException, OSError):
            cut = True
    cut = cut or len(data) < int(headers.get("content-length", 0))
    answer = Answer(response.status, headers, bytes(data), sent_s, time.monotonic(), cut=cut)
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        return read_stream(dialect, answer)
    return read_whole(dialect, answer)


def read_whole(dialect: str, answer: Answer) -> Answer:
    try:
        body = json.loads(answer.body)
    except ValueError:
        return answer
    if "error" in body:
        return evolve(answer, error=body["error"])
    if dialect == "openai":
        (choice,) = body["choices"]
        return evolve(answer, text=choice["message"]["content"], ended=True, model=body["model"], usage=used(body["usage"]))
    text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
    return evolve(answer, text=text, ended=True, model=body["model"], usage=used(body["usage"]))


def read_stream(dialect: str, answer: Answer) -> Answer:
    read = (_read_openai if dialect == "openai" else _read_anthropic)(answer)
    return read if read.error or not read.ended else evolve(read, broken_rules=tuple(_codec(dialect).oracle(answer.body, None)))


_codec = cache(codec)


def _read_openai(answer: Answer) -> Answer:
    text, found = "", dict[str, Any]()
    for data in events(answer.body):
        if data == "[DONE]":
            found["ended"] = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            found["error"] = chunk["error"]
            continue
        text += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
        found["model"] = chunk["model"]
        if chunk.get("usage"):
            found["usage"] = used(chunk["usage"])
    return evolve(answer, text=text, **found)


def _read_anthropic(answer: Answer) -> Answer:
    text, found, usage = "", dict[str, Any](), dict[str, Any]()
    for event in map(json.loads, events(answer.body)):
        match event["type"]:
            case "message_start":
                found["model"] = event["message"]["model"]
                usage |= event["message"]["usage"]
            case "content_block_delta":
                text += event["delta"].get("text", "")
            case "message_delta":
                usage |= event["usage"]
            case "message_stop":
                found["ended"] = True
            case "error":
                found["error"] = event["error"]
    return evolve(answer, text=text, usage=used(usage) if found.get("ended") else None, **found)


def events(body: bytes) -> Iterator[str]:
    """The data of each SSE event; comments are none."""
    for block in body.decode().replace("\r\n", "\n").split("\n\n"):
        lines = [line.removeprefix("data:").removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
        if lines:
            yield "\n".join(lines)


def used(usage: dict[str, Any]) -> tuple[int, int]:
    """Prompt and completion tokens."""
    if "prompt_tokens" in usage:
        return usage["prompt_tokens"], usage["completion_tokens"]
    return usage["input_tokens"], usage["output_tokens"]
