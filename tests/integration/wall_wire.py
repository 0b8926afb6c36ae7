"""What the fake provider says, byte for byte, in the formats of OpenAI (Chat Completions, Responses), Anthropic and Gemini. Odd white
space, number spellings and unknown fields are deliberate: a gateway that parses and writes them again is found out."""

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
    used = (7, 5)
    """Prompt and completion tokens that it says it used."""

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

    def _usage(self) -> str:
        prompt, completion = self.used
        return f'{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{prompt + completion}}}'

    def start(self) -> list[bytes]:
        return [self._delta('{"role":"assistant","content":""}')]

    def thought(self, piece: str) -> list[bytes]:
        return [self._delta('{"reasoning_content":%s}' % json.dumps(piece))]

    def text(self, piece: str) -> bytes:
        return self._delta('{"content":%s}' % json.dumps(piece))

    def tool(self, name: str, args: str = TOOL_ARGS, kind: str = "function", namespace: str = "") -> list[bytes]:
        field = "input" if kind == "custom" else "arguments"
        head = '{"tool_calls":[{"index":0,"id":"%s","type":"%s","%s":{"name":"%s","%s":""}}]}' % (CALL_ID, kind, kind, name, field)
        parts = (args[:10], args[10:])
        return [
            self._delta(head),
            *(self._delta('{"tool_calls":[{"index":0,"%s":{"%s":%s}}]}' % (kind, field, json.dumps(p))) for p in parts),
        ]

    def finish(self, reason: str = "stop") -> list[bytes]:
        usage = self._chunk("", f',"usage":{self._usage()}')
        return [self._delta("{}", f'"{reason}"'), *([usage] if self.with_usage else [])]

    def end_text(self) -> list[bytes]:
        return self.finish()

    def end_tool(self) -> list[bytes]:
        return self.finish("tool_calls")

    def whole(self, text: str, tool: str = "", args: str = TOOL_ARGS) -> bytes:
        call = f'"tool_calls":[{{"id":"{CALL_ID}","type":"function","function":{{"name":"{tool}","arguments":{json.dumps(args)}}}}}],'
        content, finish = ("null", "tool_calls") if tool else (json.dumps(text), "stop")
        return (
            f'{{ "id":"chatcmpl-wall", "object":"chat.completion","created":1700000000,"model":"{self.model}",\n'
            f' "choices":[{{"index":0,"message":{{"role":"assistant",{call if tool else ""}"content":{content}}},'
            f'"finish_reason":"{finish}"}}],"usage":{self._usage()}, {ODD} }}'
        ).encode()

    @staticmethod
    def error(message: str, kind: str = "server_error", code: str | None = "wall_broke") -> dict[str, Any]:
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def error_event(self, message: str) -> bytes:
        return b"data: %b\n\n" % json.dumps(self.error(message)).encode()


class Anthropic:
    name = "anthropic"
    used = (7, 5)
    done = b'event: message_stop\ndata: {"type":"message_stop"        }\n\n'

    def __init__(self, model: str, usage: bool = True) -> None:
        self.model, self.index = model, 0

    @staticmethod
    def _event(name: str, rest: str) -> bytes:
        return f'event: {name}\ndata: {{"type":"{name}",{rest} }}\n\n'.encode()

    def start(self) -> list[bytes]:
        message = (
            f'"message":{{"id":"msg_wall","type":"message","role":"assistant","model":"{self.model}","content":[],"stop_reason":null,'
            f'"stop_sequence":null,"usage":{{"input_tokens":{self.used[0]},"output_tokens":1}},{ODD}}}'
        )
        return [self._event("message_start", message), self._block('{"type":"text","text":""}'), b'event: ping\ndata: {"type": "ping"}\n\n']

    def _block(self, shell: str) -> bytes:
        return self._event("content_block_start", f'"index":{self.index},"content_block":{shell}')

    def _delta(self, delta: str) -> bytes:
        return self._event("content_block_delta", f'"index":{self.index},"delta":{delta}')

    def text(self, piece: str) -> bytes:
        return self._delta('{"type":"text_delta","text":%s}' % json.dumps(piece))

    def thought(self, piece: str) -> list[bytes]:
        """In a block of its own, between the text before it and a new block of text."""
        before, self.index = self._stop(), self.index + 1
        shell = self._block('{"type":"thinking","thinking":"","signature":""}')
        said = self._delta('{"type":"thinking_delta","thinking":%s}' % json.dumps(piece))
        after, self.index = self._stop(), self.index + 1
        return [before, shell, said, after, self._block('{"type":"text","text":""}')]

    def tool(self, name: str, args: str = TOOL_ARGS, kind: str = "function", namespace: str = "") -> list[bytes]:
        stop = self._stop()
        self.index += 1
        shell = self._block('{"type":"tool_use","id":"%s","name":"%s","input":{}}' % (CALL_ID, name))
        parts = ("", args[:10], args[10:])
        return [stop, shell, *(self._delta('{"type":"input_json_delta","partial_json":%s}' % json.dumps(p)) for p in parts)]

    def _stop(self) -> bytes:
        return self._event("content_block_stop", f'"index":{self.index}')

    def finish(self, reason: str = "end_turn") -> list[bytes]:
        usage = f'"usage":{{"output_tokens":{self.used[1]}}}'
        return [self._event("message_delta", f'"delta":{{"stop_reason":"{reason}","stop_sequence":null}},{usage},{ODD}')]

    def end_text(self) -> list[bytes]:
        return [self._stop(), *self.finish()]

    def end_tool(self) -> list[bytes]:
        return [self._stop(), *self.finish("tool_use")]

    def whole(self, text: str, tool: str = "", args: str = TOOL_ARGS) -> bytes:
        call = '{"type":"tool_use","id":"%s","name":"%s","input":%s}' % (CALL_ID, tool, args)
        content = call if tool else '{"type":"text","text":%s}' % json.dumps(text)
        return (
            f'{{ "id":"msg_wall","type":"message","role":"assistant", "model":"{self.model}","content":[{content}],'
            f'"stop_reason":"{"tool_use" if tool else "end_turn"}","stop_sequence":null,'
            f'"usage":{{"input_tokens":{self.used[0]},"output_tokens":{self.used[1]}}},{ODD} }}'
        ).encode()

    @staticmethod
    def error(message: str, kind: str = "api_error", code: str | None = None) -> dict[str, Any]:
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_wall"}

    def error_event(self, message: str) -> bytes:
        return b"event: error\ndata: %b\n\n" % json.dumps(self.error(message, "overloaded_error")).encode()


class Responses:
    name = "responses"
    done = b""

    def __init__(self, model: str, usage: bool = True) -> None:
        self.model, self.number, self.items, self.said = model, -1, list[str](), list[str]()

    def _event(self, name: str, rest: str) -> bytes:
        self.number += 1
        return f'event: {name}\ndata: {{"type":"{name}","sequence_number":{self.number},{rest} }}\n\n'.encode()

    def _response(self, status: str) -> str:
        usage = (
            '{"input_tokens":7,"input_tokens_details":{"cached_tokens":0},"output_tokens":5,'
            '"output_tokens_details":{"reasoning_tokens":0},"total_tokens":12}'
        )
        return (
            f'{{ "id":"resp_wall","object":"response","created_at":1700000000,"status":"{status}","error":null,"incomplete_details":null,'
            f'"instructions":null,"model":"{self.model}","output":[{",".join(self.items)}],"parallel_tool_calls":true,"tool_choice":"auto",'
            f'"tools":[],"usage":{usage if status == "completed" else "null"},"metadata":{{}},{ODD} }}'
        )

    def start(self) -> list[bytes]:
        return [self._event(f"response.{name}", f'"response":{self._response("in_progress")}') for name in ("created", "in_progress")]

    def text(self, piece: str) -> bytes:
        place = '"item_id":"msg_wall","output_index":0,"content_index":0'
        shell = '{"type":"output_text","text":"","annotations":[],"logprobs":[]}'
        opening = (
            []
            if self.said
            else [
                self._event("response.output_item.added", f'"output_index":0,"item":{self._message("in_progress", "")}'),
                self._event("response.content_part.added", f'{place},"part":{shell}'),
            ]
        )
        self.said.append(piece)
        return b"".join([*opening, self._event("response.output_text.delta", f'{place},"delta":{json.dumps(piece)},"logprobs":[]')])

    @staticmethod
    def _message(status: str, content: str) -> str:
        return f'{{"id":"msg_wall","type":"message","status":"{status}","role":"assistant","content":[{content}]}}'

    def end_text(self) -> list[bytes]:
        text = json.dumps("".join(self.said))
        place = '"item_id":"msg_wall","output_index":0,"content_index":0'
        part = f'{{"type":"output_text","text":{text},"annotations":[],"logprobs":[]}}'
        self.items.append(self._message("completed", part))
        return [
            self._event("response.output_text.done", f'{place},"text":{text},"logprobs":[]'),
            self._event("response.content_part.done", f'{place},"part":{part}'),
            self._event("response.output_item.done", f'"output_index":0,"item":{self.items[-1]}'),
            *self.end_tool(),
        ]

    def tool(self, name: str, args: str = TOOL_ARGS, kind: str = "function", namespace: str = "") -> list[bytes]:
        place = '"item_id":"fc_wall","output_index":0'
        field, said = ("input", "custom_tool_call_input") if kind == "custom" else ("arguments", "function_call_arguments")
        named = "" if kind == "custom" else f'"name":"{name}",'
        self.items.append(self._call(name, args, "completed", kind, namespace))
        opening = self._call(name, "", "in_progress", kind, namespace)
        return [
            self._event("response.output_item.added", f'"output_index":0,"item":{opening}'),
            self._event(f"response.{said}.delta", f'{place},"delta":{json.dumps(args[:10])}'),
            self._event(f"response.{said}.delta", f'{place},"delta":{json.dumps(args[10:])}'),
            self._event(f"response.{said}.done", f'{place},{named}"{field}":{json.dumps(args)}'),
            self._event("response.output_item.done", f'"output_index":0,"item":{self.items[-1]}'),
        ]

    @staticmethod
    def _call(name: str, args: str, status: str, kind: str = "function", namespace: str = "") -> str:
        type, field = ("custom_tool_call", "input") if kind == "custom" else ("function_call", "arguments")
        fields = {"id": "fc_wall", "type": type, "status": status, "call_id": CALL_ID, "name": name, field: args}
        return json.dumps(fields | ({"namespace": namespace} if namespace else {}), ensure_ascii=False)

    def end_tool(self) -> list[bytes]:
        return [self._event("response.completed", f'"response":{self._response("completed")}')]

    def whole(self, text: str, tool: str = "", args: str = TOOL_ARGS) -> bytes:
        part = f'{{"type":"output_text","text":{json.dumps(text)},"annotations":[],"logprobs":[]}}'
        self.items = [self._call(tool, args, "completed") if tool else self._message("completed", part)]
        return self._response("completed").encode()

    @staticmethod
    def error(message: str, kind: str = "server_error", code: str | None = "wall_broke") -> dict[str, Any]:
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def error_event(self, message: str) -> bytes:
        return self._event("error", f'"code":"wall_broke","message":{json.dumps(message)},"param":null')


class Gemini:
    name = "gemini"
    done = b""

    def __init__(self, model: str, usage: bool = True) -> None:
        self.model = model

    def _chunk(self, part: str, finish: str = "") -> bytes:
        return b"data: " + self._answer(part, finish).encode() + b"\r\n\r\n"

    def _answer(self, part: str, finish: str) -> str:
        end = f',"finishReason":"{finish}"' if finish else ""
        return (
            f'{{"candidates": [{{"content": {{"parts": [{part}],"role": "model"}}{end},"index": 0}}],'
            f'"usageMetadata": {{"promptTokenCount": 7,"candidatesTokenCount": 5,"totalTokenCount": 12}},'
            f'"modelVersion": "{self.model}","responseId": "wall",{ODD}}}'
        )

    def start(self) -> list[bytes]:
        return []

    def text(self, piece: str) -> bytes:
        return self._chunk(f'{{"text": {json.dumps(piece)}}}')

    def tool(self, name: str, args: str = TOOL_ARGS, kind: str = "function", namespace: str = "") -> list[bytes]:
        return [self._chunk(f'{{"functionCall": {{"name": "{name}","args": {args}}}}}')]

    def end_text(self) -> list[bytes]:
        return [self._chunk('{"text": ""}', "STOP")]

    def end_tool(self) -> list[bytes]:
        return self.end_text()

    def whole(self, text: str, tool: str = "", args: str = TOOL_ARGS) -> bytes:
        part = f'{{"functionCall": {{"name": "{tool}","args": {args}}}}}' if tool else f'{{"text": {json.dumps(text)}}}'
        return self._answer(part, "STOP").encode()

    @staticmethod
    def error(message: str, kind: str = "INTERNAL", code: str | None = None) -> dict[str, Any]:
        return {"error": {"code": 500, "message": message, "status": kind}}

    def error_event(self, message: str) -> bytes:
        return b"data: %b\r\n\r\n" % json.dumps(self.error(message)).encode()


Wire = OpenAi | Anthropic | Responses | Gemini
WIRES: dict[str, type[Wire]] = {
    "/chat/completions": OpenAi, "/messages": Anthropic, "/responses": Responses, ":generateContent": Gemini,
    ":streamGenerateContent": Gemini,
}  # fmt: skip
"""How the path of a request ends → what answers it."""
