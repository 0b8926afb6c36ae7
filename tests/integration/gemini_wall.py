"""A fake Gemini provider on a real socket: text, or a call of the first tool until its response is there."""

from __future__ import annotations

import json
from typing import Any

from routeiq_sdk.testing import Exchange

from .wall import Wall

JSON = [("content-type", "application/json; charset=UTF-8")]
SSE = [("content-type", "text/event-stream")]
USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 13, "thoughtsTokenCount": 302, "totalTokenCount": 324}
SIGNATURE = "CiQB+/7mSGVsbG8="
TEXT = ["Hello", " from", " the", " wäll", "."]
REFUSED = {"error": {"code": 429, "message": "Quota is used up.", "status": "RESOURCE_EXHAUSTED", "details": [{"reason": "SLOW"}]}}


def chunk(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    candidate = {
        "content": {"parts": [*parts], "role": "model"},
        **({"finishReason": "STOP"} if "usageMetadata" in fields else {}),
        "index": 0,
    }
    return {"candidates": [candidate], **fields, "modelVersion": "gemini-real", "responseId": "resp-1"}


def event(value: dict[str, Any]) -> bytes:
    return b"data: %b\r\n\r\n" % json.dumps(value, ensure_ascii=False).encode()


class GeminiWall(Wall):
    async def _respond(self, exchange: Exchange) -> None:
        path = exchange.target.partition("?")[0]
        if b"wall:refuse" in exchange.body:
            return await exchange.reply(429, json.dumps(REFUSED).encode(), [*JSON, ("retry-after", "7")])
        if path.endswith(":countTokens"):
            return await exchange.reply(200, b'{"totalTokens": 42 }', JSON)
        parts: list[dict[str, Any]] = [{"text": text} for text in TEXT]
        if b'"functionDeclarations"' in exchange.body and b'"functionResponse"' not in exchange.body:
            name = exchange.json()["tools"][0]["functionDeclarations"][0]["name"]
            call = {"functionCall": {"name": name, "args": {"city": "Zürich"}}, "thoughtSignature": SIGNATURE}
            parts = [{"text": "I must look.", "thought": True}, call]
        if path.endswith(":generateContent"):
            return await exchange.reply(200, json.dumps(chunk(*parts, usageMetadata=USAGE), indent=1).encode(), JSON)
        await exchange.start(200, SSE)
        for part in parts:
            await exchange.chunk(event(chunk(part)))
        await exchange.chunk(event(chunk({"text": ""}, usageMetadata=USAGE)))
        await exchange.end()

    def streamed(self) -> bytes:
        """What it streams to a plain question."""
        return b"".join([event(chunk({"text": text})) for text in TEXT] + [event(chunk({"text": ""}, usageMetadata=USAGE))])
