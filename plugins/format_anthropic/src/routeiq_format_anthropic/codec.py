"""The codec: what the gateway calls, each method a short way to the module that does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from routeiq_sdk.estimate import tokens
from routeiq_sdk.request import Request
from routeiq_sdk.resources import Deployment
from routeiq_sdk.services import ModelCatalog, TokenCounter
from routeiq_sdk.stream import Error, Event, UsageParts
from routeiq_sdk.wire import Asked, Built, ModelEntry, SseFramer

from . import answer, blocks, build, decode, errors, models, oracle, parse, usage
from .encode import AnthropicEncoder
from .estimate import media_tokens
from .shapes import read_message
from .sse import NAME, PING, write
from .tap import AnthropicTap


class AnthropicCodec:
    """`deployments` are those of the gateway at the time of asking: a count needs one to know the tokenizer."""

    name = NAME
    keepalive = PING
    stream_type = "text/event-stream; charset=utf-8"

    def __init__(
        self,
        catalog: ModelCatalog | None = None,
        counter: TokenCounter | None = None,
        deployments: Callable[[], Sequence[Deployment]] = tuple,
    ) -> None:
        self._catalog, self._counter, self._deployments = catalog, counter, deployments

    def parse_request(self, body: bytes, asked: Asked) -> Request:
        return parse.parse_request(body, asked)

    def edits(self, request: Request, deployment: Deployment) -> dict[str, bytes | None]:
        body, spans = request.body, request.members
        edits: dict[str, bytes | None] = {}
        model = write(deployment.model)
        start, end = spans["model"]
        if body[start:end] != model:
            edits["model"] = model
        if request.operation != "count_tokens":
            edits |= {name: value for name, value in deployment.defaults.items() if name not in spans}
            start, end = spans.get("stream", (0, 0))
            if (body[start:end] == b"true") != request.stream:
                edits["stream"] = b"true" if request.stream else None
        if isinstance(spans, parse.Members) and spans.has_foreign_state:
            edits |= self._without_foreign_state(request, deployment)
        return edits

    def _without_foreign_state(self, request: Request, deployment: Deployment) -> dict[str, bytes | None]:
        """Reasoning and citations that another provider's answer left in the conversation, and what hangs on them."""
        built = blocks.members(self.build_request(request, deployment).body)
        return {name: bytes(built[name]) for name in ("messages", "thinking", "tool_choice") if name in built}

    def build_request(self, request: Request, deployment: Deployment) -> Built:
        return build.build(request, deployment, self._catalog)

    def upstream_path(self, request: Request, deployment: Deployment) -> str:
        return build.path(request)

    def framer(self) -> SseFramer:
        return SseFramer()

    def tap(self, request: Request) -> AnthropicTap:
        return AnthropicTap()

    def decoder(self) -> decode.AnthropicDecoder:
        return decode.AnthropicDecoder()

    def encoder(self, request: Request) -> AnthropicEncoder:
        return AnthropicEncoder(request)

    def explode(self, body: bytes) -> list[Event]:
        return decode.explode(body)

    def collect(self, events: Iterable[Event], request: Request, losses: list[str]) -> bytes:
        return answer.collect(events, request, losses)

    def usage(self, body: bytes) -> UsageParts | None:
        return usage.read(read_message(body).usage)

    def check(self, body: bytes) -> Error | None:
        return decode.check(body)

    def parse_error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Error:
        return errors.parse(status, headers, body)

    def build_error(self, error: Error, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return errors.build(error, request_id)

    def stream_error(self, error: Error, request_id: str) -> bytes:
        return errors.in_stream(error, request_id)

    def models(self, models_: Sequence[ModelEntry], asked: Asked) -> bytes:
        return write(models.entry(models_[0])) if "model" in asked.params else models.page(models_, asked.query)

    def estimate_tokens(self, request: Request) -> int:
        """Tokens of a request whose provider cannot count them: by the model's tokenizer where there is a token counter."""
        target = next((each for each in self._deployments() if each.group == request.model), None) if self._counter else None
        if self._counter is None or target is None:
            return tokens(request, media_tokens)
        return self._counter.count_request(request, target)[0]

    def count_reply(self, tokens: int) -> bytes:
        return write({"input_tokens": tokens})

    def oracle(self, data: bytes, request: Request | None = None) -> list[str]:
        return oracle.violations(data)
