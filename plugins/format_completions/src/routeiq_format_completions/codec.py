"""The codec of OpenAI's legacy Completions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from routeiq_sdk.openai_chunks import check, count
from routeiq_sdk.openai_family import build_error, dump, parse_error, stream_error
from routeiq_sdk.request import Request
from routeiq_sdk.resources import Deployment
from routeiq_sdk.stream import Error, Event, UsageParts
from routeiq_sdk.wire import Asked, Built, Decoder, Encoder, ModelEntry, SseFramer, Tap

from . import request as requests
from . import whole
from .chunks import NAME, PARAMS
from .decode import CompletionsDecoder
from .encode import KEEPALIVE, CompletionsEncoder
from .oracle import check_stream
from .tap import CompletionsTap

_BYTES_PER_TOKEN = 4


class CompletionsCodec:
    name = NAME
    keepalive = KEEPALIVE
    stream_type = "text/event-stream; charset=utf-8"

    def __init__(self, time_s: Callable[[], float]) -> None:
        self._time_s = time_s

    def parse_request(self, body: bytes, asked: Asked) -> Request:
        return requests.parse_request(body, asked.operation)

    def edits(self, request: Request, deployment: Deployment) -> dict[str, bytes | None]:
        return requests.edits(request, deployment)

    def build_request(self, request: Request, deployment: Deployment) -> Built:
        return requests.build(request, deployment)

    def upstream_path(self, request: Request, deployment: Deployment) -> str:
        return requests.PATH

    def framer(self) -> SseFramer:
        return SseFramer()

    def tap(self, request: Request) -> Tap:
        return CompletionsTap(requests.asked_usage(request))

    def decoder(self) -> Decoder:
        return CompletionsDecoder()

    def encoder(self, request: Request) -> Encoder:
        return CompletionsEncoder(request, requests.asked_usage(request), int(self._time_s()))

    def explode(self, body: bytes) -> list[Event]:
        return whole.explode(body)

    def collect(self, events: Iterable[Event], request: Request, losses: list[str]) -> bytes:
        return whole.collect(events, request, losses, int(self._time_s()))

    def usage(self, body: bytes) -> UsageParts | None:
        return count(body)

    def check(self, body: bytes) -> Error | None:
        return check(NAME, body)

    def parse_error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Error:
        return parse_error(NAME, status, headers, body, self._time_s())

    def build_error(self, error: Error, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return build_error(NAME, error, PARAMS)

    def stream_error(self, error: Error, request_id: str) -> bytes:
        return stream_error(NAME, error, PARAMS)

    def estimate_tokens(self, request: Request) -> int:
        return max(1, len(request.text().encode("utf-8", "replace")) // _BYTES_PER_TOKEN)

    def count_reply(self, tokens: int) -> bytes:
        return dump({"input_tokens": tokens})

    def models(self, models: Sequence[ModelEntry], asked: Asked) -> bytes:
        data = [{"id": model.id, "object": "model", "created": 0, "owned_by": model.owned_by} for model in models]
        return dump({"object": "list", "data": data})

    def oracle(self, data: bytes, request: Request | None = None) -> list[str]:
        return check_stream(data, request)
