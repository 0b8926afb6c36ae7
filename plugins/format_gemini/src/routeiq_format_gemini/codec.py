"""The codec: what the gateway calls, each method a short way to the module that does it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from routeiq_sdk.estimate import tokens
from routeiq_sdk.request import Request
from routeiq_sdk.resources import Deployment
from routeiq_sdk.stream import Error, Event, UsageParts
from routeiq_sdk.wire import Asked, Built, ModelEntry, SseFramer

from . import answer, build, decode, errors, models, oracle, parse
from .encode import GeminiEncoder
from .estimate import media_tokens
from .tap import GeminiTap
from .wire import NAME, Fields, camel, write


class GeminiCodec:
    name = NAME
    keepalive = b"\n"
    stream_type = "text/event-stream; charset=utf-8"

    def parse_request(self, body: bytes, asked: Asked) -> Request:
        return parse.parse_request(body, asked)

    def edits(self, request: Request, deployment: Deployment) -> dict[str, bytes | None]:
        edits = build.edits(request, deployment)
        if isinstance(request.members, parse.Members) and request.members.has_foreign_state:
            edits |= self._without_foreign_state(request, deployment)
        return edits

    @staticmethod
    def _without_foreign_state(request: Request, deployment: Deployment) -> dict[str, bytes | None]:
        """The conversation without the reasoning of other providers that its client carries."""
        built = Fields(build.build(request, deployment).body)
        name = "generateContentRequest" if "generateContentRequest" in built.names else "contents"
        own = next((each for each in request.members if camel(each) == name), None)
        if own is None:  # a count of bare contents became one of a request
            return {"contents": None, name: built.raw(name)}
        return {own: built.raw(name)}

    def build_request(self, request: Request, deployment: Deployment) -> Built:
        return build.build(request, deployment)

    def upstream_path(self, request: Request, deployment: Deployment) -> str:
        return build.path(request, deployment)

    def framer(self) -> SseFramer:
        return SseFramer()

    def tap(self, request: Request) -> GeminiTap:
        return GeminiTap()

    def decoder(self) -> decode.GeminiDecoder:
        return decode.GeminiDecoder()

    def encoder(self, request: Request) -> GeminiEncoder:
        return GeminiEncoder(request)

    def explode(self, body: bytes) -> list[Event]:
        return decode.explode(body)

    def collect(self, events: Iterable[Event], request: Request, losses: list[str]) -> bytes:
        return answer.collect(events, request, losses)

    def usage(self, body: bytes) -> UsageParts | None:
        return decode.read_usage(body)

    def check(self, body: bytes) -> Error | None:
        return decode.check(body)

    def parse_error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Error:
        return errors.parse(status, headers, body)

    def build_error(self, error: Error, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return errors.build(error, request_id)

    def stream_error(self, error: Error, request_id: str) -> bytes:
        return errors.in_stream(error, request_id)

    def estimate_tokens(self, request: Request) -> int:
        return tokens(request, media_tokens)

    def count_reply(self, tokens: int) -> bytes:
        return write({"totalTokens": tokens})

    def models(self, entries: Sequence[ModelEntry], asked: Asked) -> bytes:
        return models.answer(entries, asked)

    def oracle(self, data: bytes, request: Request | None = None) -> list[str]:
        return oracle.violations(data)
