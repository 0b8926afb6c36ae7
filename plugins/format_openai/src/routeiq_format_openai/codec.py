"""The codec of OpenAI Chat Completions."""

from __future__ import annotations

from collections.abc import Iterable

from routeiq_sdk.openai_chunks import check
from routeiq_sdk.openai_codec import OpenAICodec
from routeiq_sdk.openai_family import count
from routeiq_sdk.openai_requests import edits, wants_usage
from routeiq_sdk.request import Request
from routeiq_sdk.resources import Deployment
from routeiq_sdk.stream import Error, Event, UsageParts
from routeiq_sdk.wire import Asked, Built, Decoder, Encoder, Tap

from . import build, whole
from . import request as requests
from .chunks import NAME, PARAMS
from .decode import ChatDecoder
from .encode import ChatEncoder
from .oracle import check_stream
from .tap import ChatTap


class ChatCodec(OpenAICodec):
    name, params = NAME, PARAMS

    def parse_request(self, body: bytes, asked: Asked) -> Request:
        return requests.parse_request(body, asked.operation)

    def edits(self, request: Request, deployment: Deployment) -> dict[str, bytes | None]:
        return edits(request, deployment, build.LIMITS)

    def build_request(self, request: Request, deployment: Deployment) -> Built:
        return build.build(request, deployment)

    def upstream_path(self, request: Request, deployment: Deployment) -> str:
        return build.PATH

    def tap(self, request: Request) -> Tap:
        return ChatTap(wants_usage(request, NAME))

    def decoder(self) -> Decoder:
        return ChatDecoder()

    def encoder(self, request: Request) -> Encoder:
        return ChatEncoder(request, wants_usage(request, NAME), int(self.time_s()))

    def explode(self, body: bytes) -> list[Event]:
        return ChatDecoder.explode(body)

    def collect(self, events: Iterable[Event], request: Request, losses: list[str]) -> bytes:
        return whole.collect(events, request, losses, int(self.time_s()))

    def usage(self, body: bytes) -> UsageParts | None:
        return count(body)

    def check(self, body: bytes) -> Error | None:
        return check(NAME, body)

    def oracle(self, data: bytes, request: Request | None = None) -> list[str]:
        return check_stream(data, request)
