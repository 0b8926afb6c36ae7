"""The codec: what the gateway calls, each method a short way to the module that does it."""

from __future__ import annotations

from collections.abc import Iterable

from routeiq_sdk.openai_codec import OpenAICodec
from routeiq_sdk.request import Request
from routeiq_sdk.resources import Deployment
from routeiq_sdk.stream import Error, Event, UsageParts
from routeiq_sdk.surrogates import dump
from routeiq_sdk.wire import Asked, Built, Decoder, Encoder, Tap

from . import build, errors, parse, whole
from .decode import ResponsesDecoder
from .encode import ResponsesEncoder
from .frames import NAME
from .oracle import check_stream
from .tap import ResponsesTap
from .usage import count


class ResponsesCodec(OpenAICodec):
    name, params = NAME, errors.PARAMS

    def parse_request(self, body: bytes, asked: Asked) -> Request:
        return parse.parse_request(body, asked.operation)

    def edits(self, request: Request, deployment: Deployment) -> dict[str, bytes | None]:
        return build.edits(request, deployment)

    def build_request(self, request: Request, deployment: Deployment) -> Built:
        return build.build(request, deployment)

    def upstream_path(self, request: Request, deployment: Deployment) -> str:
        return build.path_of(request)

    def tap(self, request: Request) -> Tap:
        return ResponsesTap()

    def decoder(self) -> Decoder:
        return ResponsesDecoder()

    def encoder(self, request: Request) -> Encoder:
        return ResponsesEncoder(request, int(self.time_s()))

    def explode(self, body: bytes) -> list[Event]:
        return whole.explode(body)

    def collect(self, events: Iterable[Event], request: Request, losses: list[str]) -> bytes:
        return whole.collect(events, request, int(self.time_s()), losses)

    def usage(self, body: bytes) -> UsageParts | None:
        return count(body)

    def check(self, body: bytes) -> Error | None:
        return whole.check(body)

    def stream_error(self, error: Error, request_id: str) -> bytes:
        return errors.stream_error(error, request_id, int(self.time_s()))

    def count_reply(self, tokens: int) -> bytes:
        return dump({"object": "response.input_tokens", "input_tokens": tokens})

    def oracle(self, data: bytes, request: Request | None = None) -> list[str]:
        return check_stream(data)
