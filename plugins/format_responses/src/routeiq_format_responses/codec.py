"""The codec: what the gateway calls, each method a short way to the module that does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from routeiq_sdk import openai_family
from routeiq_sdk.request import Request
from routeiq_sdk.resources import Deployment
from routeiq_sdk.stream import Error, Event, UsageParts
from routeiq_sdk.wire import Asked, Built, Decoder, Encoder, ModelEntry, SseFramer, Tap

from . import build, errors, parse, whole
from .decode import ResponsesDecoder
from .encode import KEEPALIVE, ResponsesEncoder
from .frames import NAME, dump
from .oracle import check_stream
from .tap import ResponsesTap

_BYTES_PER_TOKEN = 4


class ResponsesCodec:
    name = NAME
    keepalive = KEEPALIVE
    stream_type = "text/event-stream; charset=utf-8"

    def __init__(self, time_s: Callable[[], float]) -> None:
        self._time_s = time_s

    def parse_request(self, body: bytes, asked: Asked) -> Request:
        return parse.parse_request(body, asked.operation)

    def edits(self, request: Request, deployment: Deployment) -> dict[str, bytes | None]:
        return build.edits(request, deployment)

    def build_request(self, request: Request, deployment: Deployment) -> Built:
        return build.build(request, deployment)

    def upstream_path(self, request: Request, deployment: Deployment) -> str:
        return build.path_of(request)

    def framer(self) -> SseFramer:
        return SseFramer()

    def tap(self, request: Request) -> Tap:
        return ResponsesTap()

    def decoder(self) -> Decoder:
        return ResponsesDecoder()

    def encoder(self, request: Request) -> Encoder:
        return ResponsesEncoder(request, int(self._time_s()))

    def explode(self, body: bytes) -> list[Event]:
        return whole.explode(body)

    def collect(self, events: Iterable[Event], request: Request, losses: list[str]) -> bytes:
        return whole.collect(events, request, int(self._time_s()), losses)

    def usage(self, body: bytes) -> UsageParts | None:
        return whole.count(body)

    def check(self, body: bytes) -> Error | None:
        return whole.check(body)

    def parse_error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Error:
        return openai_family.parse_error(NAME, status, headers, body, self._time_s())

    def build_error(self, error: Error, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return openai_family.build_error(NAME, error, errors.PARAMS)

    def stream_error(self, error: Error, request_id: str) -> bytes:
        return errors.stream_error(error, request_id, int(self._time_s()))

    def estimate_tokens(self, request: Request) -> int:
        text = request.text() + "".join(tool.parameters.decode("utf-8", "replace") for tool in request.tools)
        return max(1, len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)

    def count_reply(self, tokens: int) -> bytes:
        return dump({"object": "response.input_tokens", "input_tokens": tokens})

    def models(self, models: Sequence[ModelEntry], asked: Asked) -> bytes:
        data = [{"id": model.id, "object": "model", "created": 0, "owned_by": model.owned_by} for model in models]
        return dump({"object": "list", "data": data})

    def oracle(self, data: bytes, request: Request | None = None) -> list[str]:
        return check_stream(data)
