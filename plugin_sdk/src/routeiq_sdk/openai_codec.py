"""What the codecs of OpenAI's wire formats have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .openai_family import build_error, parse_error, stream_error
from .request import Request
from .stream import Error
from .surrogates import dump
from .wire import Asked, ModelEntry, SseFramer

KEEPALIVE = b": keepalive\n\n"
_BYTES_PER_TOKEN = 4


class OpenAICodec:
    """A codec adds its `name`, its own halves of the conversions, and `params`: what fields of other formats are called in its own,
    for errors that name one."""

    name: str
    params: Mapping[str, str]
    keepalive = KEEPALIVE
    stream_type = "text/event-stream; charset=utf-8"

    def __init__(self, time_s: Callable[[], float]) -> None:
        self.time_s = time_s

    def framer(self) -> SseFramer:
        return SseFramer()

    def parse_error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Error:
        return parse_error(self.name, status, headers, body, self.time_s())

    def build_error(self, error: Error, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return build_error(self.name, error, self.params)

    def stream_error(self, error: Error, request_id: str) -> bytes:
        return stream_error(self.name, error, self.params)

    def estimate_tokens(self, request: Request) -> int:
        text = request.text() + "".join(tool.parameters.decode("utf-8", "replace") for tool in request.tools)
        return max(1, len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)

    def count_reply(self, tokens: int) -> bytes:
        return dump({"input_tokens": tokens})

    def models(self, models: Sequence[ModelEntry], asked: Asked) -> bytes:
        data = [{"id": model.id, "object": "model", "created": 0, "owned_by": model.owned_by} for model in models]
        return dump(data[0] if "model" in asked.params else {"object": "list", "data": data})
