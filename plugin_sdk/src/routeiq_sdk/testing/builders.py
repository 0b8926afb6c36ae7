"""Values for unit tests of plugins, made without a gateway and without any other plugin."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..context import RequestContext
from ..errors import GraphError
from ..request import Content, Message, Request
from ..resources import Deployment, Surface
from ..services import ServiceKey
from ..stream import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    MessageEnd,
    MessageStart,
    Stop,
    Text,
    ToolCall,
    Usage,
    UsageParts,
)
from ..wire import Headers, members

T = TypeVar("T")


def request(model: str = "m", text: str = "Hello.", *, format: str = "openai", stream: bool = False, **content: Any) -> Request:
    """A chat request of one user message. `content` names more fields of `Content`."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}).encode()
    parsed = Content(messages=(Message(role="user", parts=(Text(text=text),), was_str=True),))
    made = Request(format=format, model=model, stream=stream, body=body, parse=lambda _: parsed, members=members(body))
    return made.replace(**content) if content else made


def rc(request: Request | None = None, *, headers: Mapping[str, str] | None = None, **fields: Any) -> RequestContext:
    """The context of `request`, as it is before routing. `fields` overwrite what it holds."""
    made = RequestContext()
    values: dict[str, Any] = {
        "request_id": "req-test", "operation": "chat", "path": "/v1/chat/completions", "query": "", "client": ("127.0.0.1", 1),
        "surface": Surface(method="POST", path="/v1/chat/completions", kind="generate", operation="chat", format="openai"),
        "headers": Headers([(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]),
        "started_s": 0.0, "principal": None, "client_credentials": {}, "request": request, "plan": None, "choices": [],
        "excluded": {}, "fallbacks": None, "attempts": [], "state": {},
    }  # fmt: skip
    for name, value in (values | fields).items():
        setattr(made, name, value)
    return made


def deployment(group: str = "m", *, provider: str = "fake", model: str = "m", **fields: Any) -> Deployment:
    return Deployment(id=fields.pop("id", f"{group}-{provider}-{model}"), group=group, provider=provider, model=model, **fields)


def answer(*pieces: str, model: str = "m", stop: str = "stop", usage: UsageParts | None = None) -> list[Event]:
    """The events of a whole text answer, one delta for each piece."""
    deltas = [BlockDelta(index=0, field="text", value=piece) for piece in pieces]
    return _message([BlockStart(index=0, block=Text()), *deltas, BlockStop(index=0)], model, stop, usage)


def tool_call(name: str, args: Mapping[str, Any], *, call_id: str = "call_1", model: str = "m") -> list[Event]:
    """The events of an answer that calls one tool."""
    start = BlockStart(index=0, block=ToolCall(call_id=call_id, name=name))
    delta = BlockDelta(index=0, field="args", value=json.dumps(args))
    return _message([start, delta, BlockStop(index=0)], model, "tool_use", None)


def _message(blocks: Sequence[Event], model: str, stop: str, usage: UsageParts | None) -> list[Event]:
    counted = usage or UsageParts(input=3, output=5)
    end = (Stop(reason=stop), Usage(parts=counted, final=True), MessageEnd())
    return [MessageStart(id="msg-test", model=model, created_s=1_700_000_000), *blocks, *end]


class Context:
    """A `PluginContext` for unit tests. `services` are what `service` and `optional` give; `announced` collects lines."""

    def __init__(
        self,
        state_dir: Path,
        *,
        name: str = "test",
        mode: str = "development",
        services: Mapping[ServiceKey[Any], object] | None = None,
        deployments: Sequence[Deployment] = (),
        config_path: Path | None = None,
    ) -> None:
        self.state_dir, self.name, self.mode = state_dir, name, mode
        self.deployments, self.config_path = deployments, config_path
        self.announced: list[str] = []
        self.kept: dict[str, Any] = {}
        self._services = dict(services or {})

    def service(self, key: ServiceKey[T]) -> T:
        if key not in self._services:
            raise GraphError(f"plugin {self.name} asks for the service {key}, which the test gave none of")
        return self._services[key]  # type: ignore[return-value]

    def optional(self, key: ServiceKey[T]) -> T | None:
        return self._services.get(key)  # type: ignore[return-value]

    def announce(self, line: str) -> None:
        self.announced.append(line)
