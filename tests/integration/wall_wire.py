"""What the fake provider says, byte for byte, in OpenAI's and Anthropic's formats. Odd white space, number spellings and unknown
fields are deliberate: a gateway that parses and writes them again is found out."""

from __future__ import annotations

import json
from typing import Any

ODD = '"x_wall":{ "big":12345678901234567890,"price":1.50,"nothing":null }'
CALL_ID = "call_wall_1"
TOOL_ARGS = '{"city":"Zürich"}'


class OpenAi:
    """`usage` says whether the client asked for usage in the stream."""

    name = "openai"
    done = b"data: [DONE]\n\n"

    def __init__(self, model: str, usage: bool = True) -> None:
        self.model, self.with_usage = model, usage

    def _chunk(self, choices: str, more: str = "") -> bytes:
        null = ',"usage":null' if self.with_usage and not more else ""
        return (
            f'data: {{"id":"chatcmpl-wall","object":"chat.completion.chunk","created":1700000000,"model":"{self.model}",'
            f' "choices":[{choices}]{null}{more},{ODD}}}\n\n'
        ).encode()

    def _delta(self, delta: str, finish: str = "null") -> bytes:
        return self._chunk(f'{{"index":0,"delta":{delta},"finish_reason":{finish}}}')

    def start(self) -> list[bytes]:
        return [self._delta('{"role":"assistant","content":""}')]

    def text(self, piece: str) -> bytes:
        return self._delta('{"content":%s}' % json.dumps(piece))

    def tool(self, name: str) -> list[bytes]:
        head = '{"tool_calls":[{"index":0,"id":"%s","type":"function","function":{"name":"%s","arguments":""}}]}' % (CALL_ID, name)
        parts = (TOOL_ARGS[:10], TOOL_ARGS[10:])
        return [
            self._delta(head),
            *(self._delta('{"tool_calls":[{"index":0,"function":{"arguments":%s}}]}' % json.dumps(p)) for p in parts),
        ]

    def finish(self, reason: str = "stop") -> list[bytes]:
        usage = self._chunk("", ',"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}')
        return [self._delta("{}", f'"{reason}"'), *([usage] if self.with_usage else [])]

    def end_text(self) -> list[bytes]:
        return self.finish()

    def end_tool(self) -> list[bytes]:
        return self.finish("tool_calls")

    def whole(self, text: str, tool: str = "") -> bytes:
        call = f'"tool_calls":[{{"id":"{CALL_ID}","type":"function","function":{{"name":"{tool}","arguments":{json.dumps(TOOL_ARGS)}}}}}],'
        content, finish = ("null", "tool_calls") if tool else (json.dumps(text), "stop")
        return (
            f'{{ "id":"chatcmpl-wall", "object":"chat.completion","created":1700000000,"model":"{self.model}",\n'
            f' "choices":[{{"index":0,"message":{{"role":"assistant",{call if tool else ""}"content":{content}}},'
            f'"finish_reason":"{finish}"}}],"usage":{{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}, {ODD} }}'
        ).encode()

    @staticmethod
    def error(message: str, kind: str = "server_error", code: str | None = "wall_broke") -> dict[str, Any]:
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def error_event(self, message: str) -> bytes:
        return b"data: %b\n\n" % json.dumps(self.error(message)).encode()


class Anthropic:
    name = "anthropic"
    done = b'event: message_stop\ndata: {"type":"message_stop"        }\n\n'

    def __init__(self, model: str, usage: bool = True) -> None:
        self.model, self.index = model, 0

    @staticmethod
    def _event(name: str, rest: str) -> bytes:
        return f'event: {name}\ndata: {{"type":"{name}",{rest} }}\n\n'.encode()

    def start(self) -> list[bytes]:
        message = (
            f'"message":{{"id":"msg_wall","type":"message","role":"assistant","model":"{self.model}","content":[],"stop_reason":null,'
            f'"stop_sequence":null,"usage":{{"input_tokens":7,"output_tokens":1}},{ODD}}}'
        )
        return [self._event("message_start", message), self._block('{"type":"text","text":""}'), b'event: ping\ndata: {"type": "ping"}\n\n']

    def _block(self, shell: str) -> bytes:
        return self._event("content_block_start", f'"index":{self.index},"content_block":{shell}')

    def _delta(self, delta: str) -> bytes:
        return self._event("content_block_delta", f'"index":{self.index},"delta":{delta}')

    def text(self, piece: str) -> bytes:
        return self._delta('{"type":"text_delta","text":%s}' % json.dumps(piece))

    def tool(self, name: str) -> list[bytes]:
        stop = self._stop()
        self.index += 1
        shell = self._block('{"type":"tool_use","id":"%s","name":"%s","input":{}}' % (CALL_ID, name))
        parts = ("", TOOL_ARGS[:10], TOOL_ARGS[10:])
        return [stop, shell, *(self._delta('{"type":"input_json_delta","partial_json":%s}' % json.dumps(p)) for p in parts)]

    def _stop(self) -> bytes:
        return self._event("content_block_stop", f'"index":{self.index}')

    def finish(self, reason: str = "end_turn") -> list[bytes]:
        return [
            self._event("message_delta", f'"delta":{{"stop_reason":"{reason}","stop_sequence":null}},"usage":{{"output_tokens":5}},{ODD}')
        ]

    def end_text(self) -> list[bytes]:
        return [self._stop(), *self.finish()]

    def end_tool(self) -> list[bytes]:
        return [self._stop(), *self.finish("tool_use")]

    def whole(self, text: str, tool: str = "") -> bytes:
        call = '{"type":"tool_use","id":"%s","name":"%s","input":%s}' % (CALL_ID, tool, TOOL_ARGS)
        content = call if tool else '{"type":"text","text":%s}' % json.dumps(text)
        return (
            f'{{ "id":"msg_wall","type":"message","role":"assistant", "model":"{self.model}","content":[{content}],'
            f'"stop_reason":"{"tool_use" if tool else "end_turn"}","stop_sequence":null,'
            f'"usage":{{"input_tokens":7,"output_tokens":5}},{ODD} }}'
        ).encode()

    @staticmethod
    def error(message: str, kind: str = "api_error", code: str | None = None) -> dict[str, Any]:
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_wall"}

    def error_event(self, message: str) -> bytes:
        return b"event: error\ndata: %b\n\n" % json.dumps(self.error(message, "overloaded_error")).encode()


Wire = OpenAi | Anthropic
