"""Every field of a request, one by one, in each client format: what to send, how it may look at a provider of any other format, and
the names under which a conversion may report that it cannot express it."""

from __future__ import annotations

import base64
from typing import Any

from attrs import frozen

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(24)).decode()
SCHEMA = {"type": "object", "properties": {"schema_mark": {"type": "string"}}, "required": ["schema_mark"], "additionalProperties": False}
WEATHER = {"type": "object", "properties": {"city": {"type": "string", "description": "mark-parameter"}}}


@frozen
class Field:
    """`seen`: any of these in the provider's request, spelled compactly, says that the field arrived. `reports`: names in
    `x-routeiq-lossy`, without their flag; a name that ends in `.` stands for all that begin with it."""

    name: str
    body: dict[str, Any]
    seen: tuple[str, ...]
    reports: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.reports or (self.name,)


def _chat(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts) or "hello"}], **more}


def _loop(result: Any, **call: Any) -> list[dict[str, Any]]:
    called = {"id": "call_mark1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"mark-city"}'}, **call}
    return [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_mark1", "content": result},
    ]


C_TOOL = {"type": "function", "function": {"name": "weather", "description": "mark-described", "parameters": WEATHER}}
C_IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}}
FILE = {"filename": "mark-name.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"}

CHAT = (
    Field("instructions", {"messages": [{"role": "system", "content": "mark-system"}, {"role": "user", "content": "hi"}]},
          ("mark-system",)),
    Field("developer", {"messages": [{"role": "developer", "content": "mark-dev"}, {"role": "user", "content": "hi"}]}, ("mark-dev",)),
    Field("late system", {"messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": "mark-late"}]}, ("mark-late",)),
    Field("message.name", {"messages": [{"role": "user", "content": "hi", "name": "mark-name"}]}, ('"name":"mark-name"',)),
    Field("text parts", _chat({"type": "text", "text": "mark-a"}, {"type": "text", "text": "mark-b"}), ("mark-b",)),
    Field("cache", _chat({"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}),
          ("cache_control", "prompt_cache_breakpoint")),
    Field("stream_options", {"stream_options": {"mark_option": 1}}, ("mark_option",), ("ext.stream_options.mark_option",)),
    Field("image data", _chat(C_IMAGE), (PIXEL,)),
    Field("detail", _chat(C_IMAGE), ('"detail":"low"', '"mediaResolution"'), ("detail", "media_resolution")),
    Field("image url", _chat({"type": "image_url", "image_url": {"url": "https://mark.example/i.png"}}), ("https://mark.example/i.png",)),
    Field("audio", _chat({"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}}), (PIXEL,), ("audio", "media.audio")),
    Field("document", _chat({"type": "file", "file": FILE}), (PIXEL,)),
    Field("filename", _chat({"type": "file", "file": FILE}), ("mark-name",), ("filename", "media.filename")),
    Field("max_output_tokens", {"max_completion_tokens": 1234}, ("1234",)),
    Field("max_tokens", {"max_tokens": 1235}, ("1235",)),
    Field("stop", {"stop": ["mark-stop"]}, ("mark-stop",)),
    Field("temperature", {"temperature": 0.25}, (":0.25",)),
    Field("top_p", {"top_p": 0.35}, (":0.35",)),
    Field("frequency_penalty", {"frequency_penalty": 0.45}, (":0.45",)),
    Field("presence_penalty", {"presence_penalty": 0.55}, (":0.55",)),
    Field("seed", {"seed": 4711}, (":4711",)),
    Field("logit_bias", {"logit_bias": {"50256": -99}}, ("50256",)),
    Field("logprobs", {"logprobs": True, "top_logprobs": 3}, ('"top_logprobs":3', '"logprobs":3')),
    Field("n", {"n": 2}, ('"n":2', '"candidateCount":2')),
    Field("prediction", {"prediction": {"type": "content", "content": "mark-pred"}}, ("mark-pred",)),
    Field("verbosity", {"verbosity": "low"}, ('"verbosity":"low"',)),
    Field("response_format json", {"response_format": {"type": "json_object"}}, ("json_object", "application/json"), ("response_format",)),
    Field("response_format",
          {"response_format": {"type": "json_schema", "json_schema": {"name": "mark", "schema": SCHEMA, "strict": True}}},
          ("schema_mark",)),
    Field("reasoning", {"reasoning_effort": "low", "max_completion_tokens": 9000},
          ('"effort":"low"', "budget", "thinkingLevel"), ("reasoning.",)),
    Field("tools", {"tools": [C_TOOL]}, ("mark-parameter",)),
    Field("tool description", {"tools": [C_TOOL]}, ("mark-described",)),
    Field("tools.strict", {"tools": [{"type": "function", "function": {"name": "w", "parameters": SCHEMA, "strict": True}}]},
          ('"strict":true', "VALIDATED"), ("tools.strict", "strict")),
    Field("custom tool", {"tools": [{"type": "custom", "custom": {"name": "mark_custom", "description": "free"}}]}, ("mark_custom",)),
    Field("grammar", {"tools": [{"type": "custom", "custom": {"name": "g", "format": {"type": "grammar", "grammar": {
        "syntax": "regex", "definition": "mark-grammar"}}}}]}, ("mark-grammar",)),
    Field("tool_choice", {"tools": [C_TOOL], "tool_choice": "required"}, ('"required"', '"any"', '"ANY"')),
    Field("forced tool", {"tools": [C_TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
          ('"tool_choice":{"type":"function"', '"type":"tool"', "allowedFunctionNames"), ("tool_choice",)),
    Field("parallel", {"tools": [C_TOOL], "parallel_tool_calls": False},
          ('"parallel_tool_calls":false', '"disable_parallel_tool_use":true'), ("parallel", "parallel_tool_calls", "tool_choice.parallel")),
    Field("tool call", {"messages": _loop("mark-result"), "tools": [C_TOOL]}, ("mark-city",)),
    Field("tool result", {"messages": _loop("mark-result"), "tools": [C_TOOL]}, ("mark-result",)),
    Field("web_search_options", {"web_search_options": {"search_context_size": "low"}},
          ("web_search", "googleSearch"), ("web_search_options", "tools.")),
    Field("metadata", {"metadata": {"mark-key": "mark-value"}}, ("mark-value",)),
    Field("end_user", {"user": "mark-user"}, ("mark-user",), ("end_user",)),
    Field("safety_identifier", {"safety_identifier": "mark-safe"}, ("mark-safe",), ("end_user", "safety_identifier")),
    Field("service_tier", {"service_tier": "flex"}, ('"flex"',)),
    Field("store", {"store": True}, ('"store":true',)),
    Field("cache.key", {"prompt_cache_key": "mark-cache"}, ("mark-cache",)),
    Field("cache.retention", {"prompt_cache_retention": "24h"}, ('"24h"',), ("cache.retention", "cache")),
    Field("moderation", {"moderation": {"model": "mark-moderation"}}, ("mark-moderation",)),
    Field("modalities", {"modalities": ["text", "audio"], "audio": {"voice": "mark-voice", "format": "wav"}}, ("mark-voice", "AUDIO")),
    Field("unknown", {"mark_unknown": 1}, ("mark_unknown",), ("ext.mark_unknown",)),
)  # fmt: skip

R_TOOL = {"type": "function", "name": "weather", "description": "mark-described", "parameters": WEATHER}


def _input(*parts: Any) -> dict[str, Any]:
    return {"input": [{"type": "message", "role": "user", "content": list(parts)}]}


R_LOOP = [
    {"type": "message", "role": "user", "content": "hello"},
    {"type": "function_call", "call_id": "call_mark1", "name": "weather", "arguments": '{"city":"mark-city"}'},
    {"type": "function_call_output", "call_id": "call_mark1", "output": "mark-result"},
]
R_IMAGE = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "low"}
R_FILE = {"type": "input_file", "filename": "mark-name.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"}

RESPONSES = (
    Field("instructions", {"instructions": "mark-system"}, ("mark-system",)),
    Field("input items", _input({"type": "input_text", "text": "mark-text"}), ("mark-text",)),
    Field("image data", _input(R_IMAGE), (PIXEL,)),
    Field("detail", _input(R_IMAGE), ('"detail":"low"', '"mediaResolution"'), ("detail", "media_resolution")),
    Field("document", _input(R_FILE), (PIXEL,)),
    Field("max_output_tokens", {"max_output_tokens": 1234}, ("1234",)),
    Field("temperature", {"temperature": 0.25}, (":0.25",)),
    Field("top_p", {"top_p": 0.35}, (":0.35",)),
    Field("logprobs", {"top_logprobs": 3, "include": ["message.output_text.logprobs"]}, ('"top_logprobs":3', '"logprobs":3')),
    Field("verbosity", {"text": {"verbosity": "low"}}, ('"verbosity":"low"',)),
    Field("response_format", {"text": {"format": {"type": "json_schema", "name": "mark", "schema": SCHEMA}}}, ("schema_mark",)),
    Field("reasoning", {"reasoning": {"effort": "low"}, "max_output_tokens": 9000},
          ('"effort":"low"', '"reasoning_effort":"low"', "budget", "thinkingLevel"), ("reasoning.",)),
    Field("reasoning.summary", {"reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 9000},
          ("summarized", "includeThoughts"), ("reasoning.", "reasoning")),
    Field("tools", {"tools": [R_TOOL]}, ("mark-parameter",)),
    Field("tools.strict", {"tools": [{"type": "function", "name": "w", "parameters": SCHEMA, "strict": True}]},
          ('"strict":true', "VALIDATED"), ("tools.strict", "strict")),
    Field("custom tool", {"tools": [{"type": "custom", "name": "mark_custom"}]}, ("mark_custom",)),
    Field("namespace", {"tools": [{"type": "namespace", "name": "mark_space", "description": "d", "tools": [R_TOOL]}]}, ("mark_space",)),
    Field("web_search", {"tools": [{"type": "web_search"}]}, ("web_search", "googleSearch"), ("tools.",)),
    Field("code_interpreter", {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
          ("code_execution", "codeExecution"), ("tools.",)),
    Field("mcp", {"tools": [{"type": "mcp", "server_label": "mark_label", "server_url": "https://mark.example/mcp"}]},
          ("https://mark.example/mcp",), ("tools.", "mcp_servers")),
    Field("tool_choice", {"tools": [R_TOOL], "tool_choice": "required"}, ('"required"', '"any"', '"ANY"')),
    Field("forced tool", {"tools": [R_TOOL], "tool_choice": {"type": "function", "name": "weather"}},
          ('"tool_choice":{"type":"function"', '"type":"tool"', "allowedFunctionNames"), ("tool_choice",)),
    Field("parallel", {"tools": [R_TOOL], "parallel_tool_calls": False},
          ('"parallel_tool_calls":false', '"disable_parallel_tool_use":true'), ("parallel", "parallel_tool_calls", "tool_choice.parallel")),
    Field("max_tool_calls", {"max_tool_calls": 77}, (":77",)),
    Field("tool call", {"input": R_LOOP, "tools": [R_TOOL]}, ("mark-city",)),
    Field("tool result", {"input": R_LOOP, "tools": [R_TOOL]}, ("mark-result",)),
    Field("metadata", {"metadata": {"mark-key": "mark-value"}}, ("mark-value",)),
    Field("end_user", {"safety_identifier": "mark-safe"}, ("mark-safe",), ("end_user", "safety_identifier")),
    Field("user", {"user": "mark-user"}, ("mark-user",), ("end_user", "user")),
    Field("service_tier", {"service_tier": "flex"}, ('"flex"',)),
    Field("store", {"store": True}, ('"store":true',)),
    Field("previous_response_id", {"previous_response_id": "resp_mark"}, ("resp_mark",)),
    Field("item_reference", {"input": [{"type": "item_reference", "id": "msg_mark"}]}, ("msg_mark",)),
    Field("conversation", {"conversation": "conv_mark"}, ("conv_mark",)),
    Field("background", {"background": True}, ('"background":true',)),
    Field("prompt", {"prompt": {"id": "pmpt_mark"}}, ("pmpt_mark",)),
    Field("truncation", {"truncation": "auto"}, ('"truncation":"auto"',)),
    Field("include", {"include": ["file_search_call.results"]}, ("file_search_call.results",)),
    Field("cache.key", {"prompt_cache_key": "mark-cache"}, ("mark-cache",)),
    Field("cache.retention", {"prompt_cache_retention": "24h"}, ('"24h"',), ("cache.retention", "cache")),
    Field("context_management", {"context_management": [{"type": "compaction", "compact_threshold": 4712}]}, ("4712",)),
    Field("moderation", {"moderation": {"model": "mark-moderation"}}, ("mark-moderation",)),
    Field("unknown", {"mark_unknown": 1}, ("mark_unknown",), ("ext.mark_unknown",)),
)  # fmt: skip

A_TOOL = {"name": "weather", "description": "mark-described", "input_schema": WEATHER}


def _say(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def _used(**result: Any) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_mark1", "name": "weather", "input": {"city": "mark-city"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_mark1", **result}]},
    ]


def _image(**source: str) -> dict[str, Any]:
    return {"type": "image", "source": source}


PNG = _image(type="base64", media_type="image/png", data=PIXEL)
PDF = {"type": "document", "title": "mark-title", "context": "mark-context",
       "source": {"type": "base64", "media_type": "application/pdf", "data": PIXEL}}  # fmt: skip
CACHED = {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}

ANTHROPIC = (
    Field("instructions", {"system": "mark-system"}, ("mark-system",)),
    Field("system blocks", {"system": [{"type": "text", "text": "mark-one"}, {"type": "text", "text": "mark-two"}]}, ("mark-two",)),
    Field("image data", _say(PNG), (PIXEL,)),
    Field("image url", _say(_image(type="url", url="https://mark.example/i.png")), ("https://mark.example/i.png",)),
    Field("document", _say(PDF), (PIXEL,)),
    Field("document.title", _say(PDF), ("mark-title",), ("document.title", "title", "filename")),
    Field("document.context", _say(PDF), ("mark-context",), ("document.context", "context")),
    Field("text document", _say({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "mark-plain"}}),
          ("mark-plain", base64.b64encode(b"mark-plain").decode())),
    Field("search_result", _say({"type": "search_result", "source": "https://mark.example", "title": "t",
                                 "content": [{"type": "text", "text": "mark-found"}]}), ("mark-found",)),
    Field("cache", _say(CACHED), ("cache_control", "prompt_cache_breakpoint"), ("cache", "cache.", "cache.breakpoint")),
    Field("max_output_tokens", {"max_tokens": 1234}, ("1234",)),
    Field("stop", {"stop_sequences": ["mark-stop"]}, ("mark-stop",)),
    Field("temperature", {"temperature": 0.25}, (":0.25",)),
    Field("top_p", {"top_p": 0.35}, (":0.35",)),
    Field("top_k", {"top_k": 41}, (":41",)),
    Field("response_format", {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, ("schema_mark",)),
    Field("effort", {"output_config": {"effort": "low"}},
          ('"effort":"low"', '"reasoning_effort":"low"', "thinkingLevel", "budget"), ("reasoning.",)),
    Field("reasoning", {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 9000},
          ('"thinkingBudget":2000',), ("reasoning.",)),
    Field("tools", {"tools": [A_TOOL]}, ("mark-parameter",)),
    Field("tools.strict", {"tools": [{"name": "w", "input_schema": SCHEMA, "strict": True}]},
          ('"strict":true', "VALIDATED"), ("tools.strict", "strict")),
    Field("web_search", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, ("web_search", "googleSearch"), ("tools.",)),
    Field("bash", {"tools": [{"type": "bash_20250124", "name": "bash"}]}, ("bash_20250124",), ("tools.",)),
    Field("mcp_servers", {"mcp_servers": [{"type": "url", "name": "mark", "url": "https://mark.example/mcp"}],
                          "tools": [{"type": "mcp_toolset", "mcp_server_name": "mark"}]},
          ("https://mark.example/mcp",), ("mcp_servers", "tools.")),
    Field("tool_choice", {"tools": [A_TOOL], "tool_choice": {"type": "any"}}, ('"required"', '"any"', '"ANY"')),
    Field("forced tool", {"tools": [A_TOOL], "tool_choice": {"type": "tool", "name": "weather"}},
          ('"tool_choice":{"type":"function"', "allowedFunctionNames"), ("tool_choice",)),
    Field("parallel", {"tools": [A_TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
          ('"parallel_tool_calls":false',), ("parallel", "parallel_tool_calls", "tool_choice.parallel")),
    Field("tool call", {"messages": _used(content="mark-result"), "tools": [A_TOOL]}, ("mark-city",)),
    Field("tool result", {"messages": _used(content="mark-result"), "tools": [A_TOOL]}, ("mark-result",)),
    Field("tool result image", {"messages": _used(content=[PNG]), "tools": [A_TOOL]}, (PIXEL,)),
    Field("is_error", {"messages": _used(content="mark-failed", is_error=True), "tools": [A_TOOL]},
          ("Error: mark-failed", '"error":'), ("tool_result.is_error", "is_error", "tool_result.")),
    Field("metadata.user_id", {"metadata": {"user_id": "mark-user"}}, ("mark-user",), ("end_user", "metadata")),
    Field("service_tier", {"service_tier": "standard_only"}, ('"service_tier":"default"', '"serviceTier":"standard"')),
    Field("speed", {"speed": "fast"}, ('"fast"',), ("speed", "service_tier")),
    Field("geo", {"inference_geo": "mark-geo"}, ("mark-geo",)),
    Field("container", {"container": "container_mark"}, ("container_mark",)),
    Field("context_management", {"context_management": {"edits": [{"type": "clear_mark"}]}}, ("clear_mark",)),
    Field("unknown", {"mark_unknown": 1}, ("mark_unknown",), ("ext.mark_unknown",)),
)  # fmt: skip

G_TOOL = {"functionDeclarations": [{"name": "weather", "description": "mark-described", "parametersJsonSchema": WEATHER}]}


def _parts(*parts: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(parts)}]}


def _generation(**config: Any) -> dict[str, Any]:
    return {"generationConfig": config}


G_LOOP = [
    {"role": "user", "parts": [{"text": "hello"}]},
    {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "mark-city"}}}]},
    {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"output": "mark-result"}}}]},
]

GEMINI = (
    Field("instructions", {"systemInstruction": {"parts": [{"text": "mark-system"}]}}, ("mark-system",)),
    Field("snake case", {"system_instruction": {"parts": [{"text": "mark-snake"}]}}, ("mark-snake",)),
    Field("image data", _parts({"inlineData": {"mimeType": "image/png", "data": PIXEL}}), (PIXEL,)),
    Field("image url", _parts({"fileData": {"mimeType": "image/png", "fileUri": "https://mark.example/i.png"}}),
          ("https://mark.example/i.png",)),
    Field("audio", _parts({"inlineData": {"mimeType": "audio/wav", "data": PIXEL}}), (PIXEL,), ("audio", "media.audio")),
    Field("video", _parts({"inlineData": {"mimeType": "video/mp4", "data": PIXEL}}), (PIXEL,), ("video", "media.video")),
    Field("document", _parts({"inlineData": {"mimeType": "application/pdf", "data": PIXEL}}), (PIXEL,)),
    Field("max_output_tokens", _generation(maxOutputTokens=1234), ("1234",)),
    Field("stop", _generation(stopSequences=["mark-stop"]), ("mark-stop",)),
    Field("temperature", _generation(temperature=0.25), (":0.25",)),
    Field("top_p", _generation(topP=0.35), (":0.35",)),
    Field("top_k", _generation(topK=41), (":41",)),
    Field("frequency_penalty", _generation(frequencyPenalty=0.45), (":0.45",)),
    Field("presence_penalty", _generation(presencePenalty=0.55), (":0.55",)),
    Field("seed", _generation(seed=4711), (":4711",)),
    Field("logprobs", _generation(responseLogprobs=True, logprobs=3), ('"top_logprobs":3',)),
    Field("n", _generation(candidateCount=2), ('"n":2',)),
    Field("response_format", _generation(responseMimeType="application/json", responseJsonSchema=SCHEMA), ("schema_mark",)),
    Field("reasoning", _generation(thinkingConfig={"thinkingBudget": 2000}, maxOutputTokens=9000),
          ('"budget_tokens":2000',), ("reasoning.",)),
    Field("tools", {"tools": [G_TOOL]}, ("mark-parameter",)),
    Field("google_search", {"tools": [{"googleSearch": {}}]}, ("web_search",), ("tools.",)),
    Field("code_execution", {"tools": [{"codeExecution": {}}]}, ("code_execution", "code_interpreter"), ("tools.",)),
    Field("tool_choice", {"tools": [G_TOOL], "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, ('"required"', '"any"')),
    Field("forced tool", {"tools": [G_TOOL], "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}}},
          ('"tool_choice":{"type":"function"', '"type":"tool"'), ("tool_choice",)),
    Field("tool call", {"contents": G_LOOP, "tools": [G_TOOL]}, ("mark-city",)),
    Field("tool result", {"contents": G_LOOP, "tools": [G_TOOL]}, ("mark-result",)),
    Field("safety_settings", {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]}, ("HARASSMENT",)),
    Field("cached_content", {"cachedContent": "cachedContents/mark"}, ("cachedContents/mark",)),
    Field("media_resolution", _generation(mediaResolution="MEDIA_RESOLUTION_LOW"), ('"detail":"low"',), ("media_resolution", "detail")),
    Field("labels", {"labels": {"mark-key": "mark-value"}}, ("mark-value",), ("labels", "metadata")),
    Field("service_tier", {"serviceTier": "flex"}, ('"flex"',)),
    Field("unknown", {"markUnknown": 1}, ("markUnknown",), ("ext.markUnknown",)),
)  # fmt: skip

BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}]}),
    "responses": ("/v1/responses", {"input": "hello"}),
    "anthropic": ("/v1/messages", {"max_tokens": 1000, "messages": [{"role": "user", "content": "hello"}]}),
    "gemini": ("/v1beta/models/{model}:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}),
}
"""Client format → path and the least body."""

FIELDS: dict[str, tuple[Field, ...]] = {"openai": CHAT, "responses": RESPONSES, "anthropic": ANTHROPIC, "gemini": GEMINI}
