"""Parts: raw JSON ↔ blocks, for requests and answers alike.

A block that came from this format and was not edited gets its own bytes back: `write` parses `native` again and compares, so an edit
that forgot to clear `native` is still an edit.
"""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec import Raw, structs
from routeiq_sdk.errors import ClientError
from routeiq_sdk.stream import Block, OpaqueBlock, Reasoning, Seal, Text, ToolCall, ToolResult

from . import media, signatures
from .wire import NAME, Fields, is_object, items, read, write
from .wire import _string as a_string

MINTED = "call_rq"
SERVER_KINDS = {
    "GOOGLE_SEARCH_WEB": "web_search", "GOOGLE_SEARCH_IMAGE": "web_search", "URL_CONTEXT": "web_fetch", "GOOGLE_MAPS": "maps",
    "FILE_SEARCH": "file_search",
}  # fmt: skip
KNOWN = ("functionCall", "functionResponse", "inlineData", "fileData", "executableCode", "codeExecutionResult", "toolCall", "toolResponse")


def mint(*seed: object) -> str:
    """A call id where the wire gave none; it is not sent to a provider of this format, which matches by name and order."""
    return MINTED + hashlib.sha256("/".join(map(str, seed)).encode("utf-8", "replace")).hexdigest()[:20]


def parse(fields: Fields, raw: bytes | Raw, minted: str = "") -> Block:
    """`raw` is the part, which `fields` read; `minted` is the id of a call that has none. Raises `ClientError`."""
    signature = signatures.read(fields.text("thoughtSignature"))
    native: dict[str, Any] = {"native": bytes(raw), "origin": NAME}
    kind = next((name for name in KNOWN if fields.raw(name) is not None), None)
    if kind is None:
        return _parse_text(fields, signature, native)
    seal = signature if isinstance(signature, Seal) else None
    inner = fields.object(kind)
    if inner is None:
        raise ClientError(f"{fields.at(kind)}: expected object")
    match kind:
        case "functionCall":
            return _parse_call(inner, minted, seal, native)
        case "functionResponse":
            return _parse_response(inner, native)
        case "inlineData" | "fileData":
            return media.parse(kind, inner, fields, native)
    return _parse_server(kind, inner, minted, native)


def _parse_text(fields: Fields, signature: Seal | Reasoning | None, native: dict[str, Any]) -> Block:
    text = fields.text("text")
    if text is None and not fields.raw("thoughtSignature"):
        kind = next((name for name in fields.names if name not in ("thought", "partMetadata")), "")
        return OpaqueBlock(type=kind, **native)
    seal = signature if isinstance(signature, Seal) else None
    if not fields.flag("thought"):
        return Text(text=text or "", signature=seal, **native)
    if isinstance(signature, Reasoning):
        return signature
    return Reasoning(text=text or "", seal=seal, **native)


def _parse_call(inner: Fields, minted: str, seal: Seal | None, native: dict[str, Any]) -> ToolCall:
    args = inner.raw("args") or b""
    if args and inner.strict and not is_object(args):
        raise ClientError(f"{inner.at('args')}: expected object", param=inner.at("args"))
    text = "" if args == b"{}" else args.decode("utf-8", "replace")
    return ToolCall(call_id=inner.text("id") or minted, name=inner.text("name") or "", args=text, seal=seal, **native)


def _parse_response(inner: Fields, native: dict[str, Any]) -> ToolResult:
    """`output` and `error` are what the API documents; anything else is the output as a whole."""
    response = inner.object("response")
    parts: list[Block] = []
    is_error = False
    if response is not None:
        given = set(response.names)
        is_error = given == {"error"}
        said = response.raw("error") if is_error else response.raw("output") if given == {"output"} else inner.raw("response")
        parts.append(Text(text=_spoken(said or b"")))
    for place, raw in enumerate(inner.list("parts")):
        one = Fields(raw, f"{inner.at('parts')}[{place}]")
        kind = next((name for name in ("inlineData", "fileData") if one.raw(name) is not None), None)
        found = one.object(kind) if kind else None
        extra: dict[str, Any] = {"native": bytes(raw), "origin": NAME}
        parts.append(media.parse(kind, found, one, extra) if kind and found else OpaqueBlock(type="part", **extra))
    name = inner.text("name") or ""
    return ToolResult(call_id=inner.text("id") or "", parts=tuple(parts), is_error=is_error, name=name, **native)


def _spoken(raw: bytes) -> str:
    """A JSON string as its text, any other value as its JSON."""
    return read(raw, a_string, "output", "str") if raw.startswith(b'"') else raw.decode("utf-8", "replace")


def _parse_server(kind: str, inner: Fields, minted: str, native: dict[str, Any]) -> Block:
    """What the provider ran itself: calls and their results, to be matched by id where there is one."""
    call_id = inner.text("id") or minted
    if kind == "executableCode":
        args = write({name: value for name, value in inner.names.items() if name != "id"}).decode()
        return ToolCall(call_id=call_id, name="code_execution", args=args, owner="provider", kind="code", **native)
    if kind == "codeExecutionResult":
        outcome = inner.text("outcome") or "OUTCOME_OK"
        parts = (Text(text=inner.text("output") or ""),)
        return ToolResult(
            call_id=inner.text("id") or "", parts=parts, is_error=outcome != "OUTCOME_OK", owner="provider", kind="code", **native
        )
    type_ = inner.text("toolType") or ""
    server = SERVER_KINDS.get(type_, "other")
    if kind == "toolCall":
        given = (inner.raw("args") or b"").decode("utf-8", "replace")
        return ToolCall(call_id=call_id, name=type_.lower(), args=given, owner="provider", kind=server, **native)
    said = (inner.raw("response") or b"").decode("utf-8", "replace")
    return ToolResult(call_id=inner.text("id") or "", parts=(Text(text=said),), owner="provider", kind=server, **native)


def unchanged(block: Block) -> bool:
    """Whether `native` still says what the block does, and may go to a provider."""
    native = block.native if block.origin == NAME else b""
    if not native or signatures.FOREIGN_MARK in native:
        return False
    if isinstance(block, OpaqueBlock):
        return True
    try:
        parsed = parse(Fields(native), native, block.call_id if isinstance(block, ToolCall) else "")
    except ClientError:
        return False
    if isinstance(parsed, ToolResult) and isinstance(block, ToolResult):
        parsed = structs.replace(parsed, call_id=block.call_id)
    return parsed == block


def write_part(block: Block) -> Raw | dict[str, Any] | None:
    """The part's JSON, None where this format has none for it. Tool names must fit already."""
    if unchanged(block):
        return Raw(block.native)
    match block:
        case Text():
            return _signed({"text": block.text}, block.signature)
        case Reasoning():
            return _signed({"text": block.text, "thought": True}, block.seal)
        case ToolCall(owner="client"):
            return _signed({"functionCall": call_fields(block)}, block.seal)
        case ToolResult(owner="client"):
            return {"functionResponse": response_fields(block)}
        case media.Media():
            return media.write(block)
    return None


def _signed(part: dict[str, Any], seal: Seal | None) -> dict[str, Any]:
    value = signatures.own(seal)
    return {**part, "thoughtSignature": value} if value else part


def call_fields(call: ToolCall) -> dict[str, Any]:
    known = {"id": call.call_id} if call.call_id and not call.call_id.startswith(MINTED) else {}
    return {**known, "name": call.name, "args": args_of(call)}


def args_of(call: ToolCall, losses: list[str] | None = None) -> Any:
    """An object always: a custom tool's text is its `input`, what is no JSON object is `_raw`."""
    if call.input is not None:
        return {"input": call.input}
    if not call.args.strip():
        return {}
    raw = call.args.encode("utf-8", "replace")
    if is_object(raw):
        return Raw(raw)
    if losses is not None:
        losses.append("tool_args;approx")
    return {"_raw": call.args}


def response_fields(result: ToolResult) -> dict[str, Any]:
    known = {"id": result.call_id} if result.call_id and not result.call_id.startswith(MINTED) else {}
    text = "\n".join(part.text for part in result.parts if isinstance(part, Text))
    raw = text.encode("utf-8", "replace")
    response: Any = {"error": text} if result.is_error else Raw(raw) if is_object(raw) else {"output": text}
    fields: dict[str, Any] = {**known, "name": result.name, "response": response}
    files = [written for part in result.parts if isinstance(part, media.Media) and (written := media.write(part)) is not None]
    return {**fields, "parts": files} if files else fields


def parse_list(raw: bytes | Raw, place: str) -> list[Raw]:
    return items(raw, place)
