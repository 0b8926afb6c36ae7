"""Blocks of any format as the parts that this one has: pure functions, losses by the side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Raw, structs
from routeiq_sdk.stream import Block, Media, OpaqueBlock, Reasoning, Refusal, Text, ToolCall, ToolResult

from . import media, parts, signatures
from .wire import NAME


class Fit:
    """Writes the parts of one request. `alias` is what a tool (name, namespace) is called here; `files_in_results`: the model takes
    media inside function responses."""

    def __init__(self, alias: Callable[[str, str], str], files_in_results: bool, losses: list[str]) -> None:
        self.alias, self.files_in_results, self.losses = alias, files_in_results, losses

    def lose(self, name: str) -> None:
        self.losses.append(name)

    def write(self, blocks: Sequence[Block]) -> list[Any]:
        """The parts of a message, in order. A lone signature in front of a call belongs to the call."""
        out: list[Any] = []
        lone: Reasoning | None = None
        for block in blocks:
            if isinstance(block, Reasoning) and not block.text and signatures.own(block.seal):
                out += self._lone(lone)
                lone = block
                continue
            if lone is not None and isinstance(block, ToolCall) and block.owner == "client":
                if block.seal is None:
                    block = structs.replace(block, seal=lone.seal, native=b"")
                lone = None
            written = self.part(block)
            if written is not None:
                out.append(written)
        return out + self._lone(lone)

    @staticmethod
    def _lone(block: Reasoning | None) -> list[Any]:
        return [{"text": "", "thoughtSignature": signatures.own(block.seal)}] if block is not None else []

    def part(self, block: Block) -> Any:
        if block.cache:
            self.lose("cache;drop")
        match block:
            case Text():
                return self._text(block)
            case Refusal():
                self.lose("refusal;approx")
                return {"text": block.text} if block.text else None
            case Reasoning():
                return self._reasoning(block)
            case ToolCall():
                return self._call(block)
            case Media():
                return self.media(block)
            case ToolResult() | OpaqueBlock() if block.origin == NAME and block.native and parts.unchanged(block):
                return Raw(block.native)
        self.lose("server_tools;drop" if isinstance(block, ToolResult) else "content;drop")
        return None

    def _text(self, block: Text) -> Any:
        if block.phase:
            self.lose("phase;drop")
        if block.citations and block.origin != NAME:
            self.lose("citations;drop")
        if not block.text and not signatures.own(block.signature):
            return None
        return parts.write_part(block)

    def _reasoning(self, block: Reasoning) -> Any:
        """Only what this family made goes back to it, never as text of the answer."""
        if block.seal is not None and block.seal.family in signatures.OWN and (block.text or block.seal.value):
            return parts.write_part(block)
        if block.origin == NAME:
            return parts.write_part(block) if block.text else None
        self.lose("reasoning;drop")
        return None

    def _call(self, call: ToolCall) -> Any:
        if call.owner != "client":
            if call.origin == NAME and call.native:
                return Raw(call.native)
            self.lose("server_tools;drop")
            return None
        name = self.alias(call.name, call.namespace)
        args = parts.args_of(call, self.losses)
        if args == {} or name != call.name or isinstance(args, dict):
            known = {"id": call.call_id} if call.call_id and not call.call_id.startswith(parts.MINTED) else {}
            written = {"functionCall": {**known, "name": name, "args": args}}
            value = signatures.own(call.seal)
            return {**written, "thoughtSignature": value} if value else written
        return parts.write_part(call)

    def media(self, block: Media) -> Any:
        written = parts.write_part(block)
        if written is None:
            self.lose(f"{block.modality};drop")
        elif block.origin != NAME:
            self.losses += [f"{block.modality}.title;drop"] * bool(block.title) + ["filename;drop"] * bool(block.filename)
        return written

    def result(self, result: ToolResult, call: ToolCall) -> tuple[Any, list[Any]]:
        """The function response, and what of it must stand beside it."""
        name = self.alias(call.name, call.namespace)
        if result.cache or any(part.cache for part in result.parts):
            self.lose("cache;drop")
        files = [part for part in result.parts if isinstance(part, Media)]
        others = [part for part in result.parts if isinstance(part, OpaqueBlock)]
        if others and result.origin != NAME:
            self.lose("content;drop")
        beside: list[Any] = []
        inside: tuple[Block, ...] = result.parts
        if files and not self.files_in_results and result.origin != NAME:
            self.lose("tool_result.media;approx")
            beside = [written for each in files if (written := self.media(each)) is not None]
            inside = tuple(part for part in result.parts if not isinstance(part, Media)) or (Text(text="The file follows."),)
        elif files:
            dropped = [each for each in files if media.write(each) is None]
            self.losses.extend(f"{each.modality};drop" for each in dropped)
        fields = parts.response_fields(structs.replace(result, name=name, parts=inside))
        return {"functionResponse": fields}, beside
