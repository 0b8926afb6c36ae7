"""`PEERS`: what a plugin says to itself in the gateway's other workers. The parent passes it on as JSON text, which only plugins
read; the plugins of the committed graph answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from routeiq_sdk import Manifest

from .guard import attempt
from .meter import Cell

if TYPE_CHECKING:
    from ..process.link import Link, Message
    from .running import Running

MAX_BYTES = 64 * 1024
ASK_S, PASS_S = 2.0, 0.2
"""How long an asker waits, and how much earlier the parent gives up on a worker, so that the others' answers are not late."""


class Exchange:
    """A worker among the others. `link` leads to the parent, None where there is none; `plugins` are the committed graph's."""

    def __init__(self, link: Link | None = None, count: int = 1) -> None:
        self.link, self.count = link, count
        self.plugins: Sequence[Running] = ()

    def hear(self, message: Message) -> Message:
        """This worker's answer, if it has one."""
        cells = [each.ctx.peers.cells.get(message["topic"]) for each in self.plugins if each.name == message["plugin"]]
        answers = [attempt(cell, message["value"]) for cell in cells if cell is not None]
        return {"answers": [answer for answer in answers if answer is not None]}

    async def recall(self, key: str) -> bytes | None:
        """What another worker's store has under `key`, for stores that reach no further than their worker."""
        way = self.way()
        if way is None:
            return None
        asked = {"op": "peers", "plugin": "", "value": key, "until": monotonic() + ASK_S - PASS_S}
        found = (await way.ask(asked, ASK_S)).get("answers", ())
        return next((text.encode() for text in found), None)

    def forget(self, key: str) -> None:
        """Delete it from the stores of the other workers."""
        if way := self.way():
            way.tell({"op": "peers", "plugin": "", "forget": key})

    def way(self) -> Link | None:
        """To the other workers, if there is one."""
        return self.link if self.link is not None and self.link.keeps_up("the parent") else None


class Peers:
    """The service, for one plugin."""

    def __init__(self, manifest: Manifest, exchange: Exchange) -> None:
        self.count, self.cells = exchange.count, dict[str, Cell]()
        self._manifest, self._exchange = manifest, exchange

    def answer(self, topic: str, handler: Callable[[Any], Any]) -> None:
        self.cells[topic] = Cell(self._manifest, f"peers, topic {topic}", "peers", lambda text: _text(handler(json.loads(text))))

    async def ask(self, topic: str, value: Any = None) -> list[Any]:
        message = self._message(topic, value)
        answers = self._exchange.hear(message)["answers"]
        if way := self._exchange.way():
            answers += (await way.ask(message, ASK_S)).get("answers", ())
        return [json.loads(text) for text in answers]

    def tell(self, topic: str, value: Any = None) -> None:
        message = self._message(topic, value)
        if way := self._exchange.way():
            way.tell(message)

    def _message(self, topic: str, value: Any) -> Message:
        until = monotonic() + ASK_S - PASS_S
        return {"op": "peers", "plugin": self._manifest.name, "topic": topic, "value": _text(value), "until": until}


def _text(value: Any) -> str:
    """Raises what `json` does, or `ValueError`."""
    if len(text := json.dumps(value, allow_nan=False)) > MAX_BYTES:
        raise ValueError(f"the value is {len(text)} bytes of JSON, more than {MAX_BYTES}")
    return text
