"""The fake provider behind the gateway under test: every format on one real socket, in a thread of its own.

What it does stands in the prompt: `wall:drip?n=20&ms=10&nonce=abc`. It keeps every request in `exchanges`; `find(tag)` gives the one
whose body holds a tag. A behaviour is a function below; its name with dashes is its spec.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl

from routeiq_sdk.testing import Exchange, FakeHttp

from .wall_wire import WIRES, Wire

SSE = [("content-type", "text/event-stream; charset=utf-8"), ("x-request-id", "req-from-wall")]
JSON = [("content-type", "application/json"), ("x-request-id", "req-from-wall")]
SPEC = re.compile(rb"wall:([a-z0-9-]+)(?:\?([\w=&.%+-]*))?")
TEXT = ["Hello", " from", " the", " wäll", "."]


def told(wire: Wire, pieces: Sequence[str] = TEXT) -> list[bytes]:
    """The events of a whole, good stream."""
    return [*wire.start(), *map(wire.text, pieces), *wire.end_text(), wire.done]


class Turn:
    """One request being answered."""

    def __init__(self, wall: Wall, exchange: Exchange, wire: Wire, options: dict[str, str]) -> None:
        self.wall, self.exchange, self.wire, self.options = wall, exchange, wire, options
        self.body: dict[str, Any] = exchange.json()
        self.stream = bool(self.body.get("stream")) or ":streamGenerateContent" in exchange.target

    def number(self, name: str, default: int) -> int:
        return int(self.options.get(name, default))

    async def send(self, *events: bytes) -> None:
        for event in filter(None, events):
            await self.exchange.chunk(event)

    async def begin(self, pieces: int = 2) -> None:
        """The head of a stream and a little text, which arrives before what follows it unless the spec says `gap=0`."""
        await self.exchange.start(200, SSE)
        if pieces:
            await self.send(*self.wire.start(), *map(self.wire.text, TEXT[:pieces]))
            await self.pause()

    async def pause(self) -> None:
        """What was sent arrives before what follows."""
        await asyncio.sleep(self.number("gap", 50) / 1000)

    async def whole(self, text: str, tool: str = "") -> None:
        await self.exchange.reply(200, self.wire.whole(text, tool), JSON)

    async def gone(self) -> None:
        await self.exchange.closed.wait()
        raise ConnectionResetError("the gateway left")


async def normal(turn: Turn) -> None:
    text = turn.options.get("text", "".join(TEXT))
    if not turn.stream:
        return await turn.whole(text)
    await turn.begin(0)
    await turn.send(*told(turn.wire, [text] if "text" in turn.options else TEXT))
    await turn.exchange.end()


async def tool(turn: Turn) -> None:
    """Call the first tool; once its result is there, repeat it."""
    answered = re.search(rb"tool_result|\"role\": ?\"tool\"", turn.exchange.body)
    if answered:
        turn.options["text"] = "The tool has spoken."
        return await normal(turn)
    first = turn.body["tools"][0]
    name = first.get("function", first)["name"]
    if not turn.stream:
        return await turn.whole("", name)
    await turn.begin(0)
    await turn.send(*turn.wire.start(), *turn.wire.tool(name), *turn.wire.end_tool(), turn.wire.done)
    await turn.exchange.end()


COMMAND = "printf mark-%d 42"
RAN = re.compile(rb"mark-42")
ASKED = re.compile(rb"wall:agent (\w+)")
SCRIPT = f'text(await tools.exec_command({{"cmd": "{COMMAND}"}}))'
AGENT_TOOLS: dict[str, dict[str, Any]] = {
    "Bash": {"command": COMMAND, "description": "say a mark"},
    "exec_command": {"cmd": COMMAND},
    "exec": {"input": SCRIPT},
    "shell_command": {"command": COMMAND},
    "shell": {"command": ["bash", "-c", COMMAND]},
    "run_shell_command": {"command": COMMAND, "description": "say a mark"},
}
"""Tools of coding agents that run a command → arguments; a custom tool gets the value of `input`."""
PATIENCE = 4
NAME = re.compile(r"(?:\w+__)?(\w+?)(?:_[0-9a-f]{6})?")
"""A tool's own name in the one that a gateway gives it where a namespace cannot be said."""


class Offered(NamedTuple):
    name: str
    kind: str
    namespace: str

    def arguments(self) -> str:
        known = NAME.fullmatch(self.name)
        args = AGENT_TOOLS.get(known.group(1) if known else "") or {"city": "Zürich"}
        return args["input"] if self.kind == "custom" else json.dumps(args, ensure_ascii=False)


def offered(body: dict[str, Any]) -> Iterator[Offered]:
    """The functions and custom tools of a request of any format, also those inside namespaces and of the conversation."""
    given = body.get("input")
    items = [item for item in given if item.get("type") == "additional_tools"] if isinstance(given, list) else []
    for tool in [*(body.get("tools") or ()), *(tool for item in items for tool in item["tools"])]:
        if tool.get("type") == "namespace":
            yield from (Offered(inner["name"], inner["type"], tool["name"]) for inner in tool["tools"])
            continue
        kind = "custom" if tool.get("type") == "custom" and "input_schema" not in tool else "function"
        for inner in tool.get("functionDeclarations", [tool.get(kind, tool)]):
            if "name" in inner:
                yield Offered(inner["name"], kind, "")


async def agent(turn: Turn) -> None:
    """Have the client run a command, or its first tool, and speak once the result is there: `mark-42`."""
    tools = list(offered(turn.body))
    known = (tool for tool in tools if (found := NAME.fullmatch(tool.name)) and found.group(1) in AGENT_TOOLS)
    called = next(known, next(iter(tools), None))
    if called is None or RAN.search(turn.exchange.body):
        turn.options["text"] = "No tool." if called is None else "The tool has spoken."
        return await normal(turn)
    tag = ASKED.search(turn.exchange.body)
    if tag and len(turn.wall.all(tag.group(1).decode())) > PATIENCE:
        turn.options["text"] = "The tool does not speak."
        return await normal(turn)
    args = called.arguments()
    if not turn.stream:
        return await turn.exchange.reply(200, turn.wire.whole("", called.name, args), JSON)
    await turn.begin(0)
    await turn.send(*turn.wire.start(), *turn.wire.tool(called.name, args, called.kind, called.namespace), *turn.wire.end_tool())
    await turn.send(turn.wire.done)
    await turn.exchange.end()


async def drip(turn: Turn) -> None:
    """`n` pieces with the nonce in each, `ms` apart."""
    nonce = turn.options.get("nonce", "x")
    await turn.begin(0)
    await turn.send(*turn.wire.start())
    for number in range(turn.number("n", 20)):
        await turn.send(turn.wire.text(f"[{nonce}:{number}]"))
        await asyncio.sleep(turn.number("ms", 10) / 1000)
    await turn.send(*turn.wire.end_text(), turn.wire.done)
    await turn.exchange.end()


async def gate(turn: Turn) -> None:
    """A little text, then wait until the test opens the gate, then the rest."""
    opened = turn.wall.gates[turn.options["name"]]
    if not turn.stream:
        await opened.wait()
        return await turn.whole("".join(TEXT))
    await turn.begin()
    await opened.wait()
    await turn.send(*map(turn.wire.text, TEXT[2:]), *turn.wire.end_text(), turn.wire.done)
    await turn.exchange.end()


async def flood(turn: Turn) -> None:
    """Text without end, until somebody stops it."""
    piece = turn.wire.text("f" * turn.number("bytes", 16384))
    await turn.begin()
    while True:
        await turn.send(piece)


async def cut(turn: Turn) -> None:
    """The connection closes inside the body."""
    await turn.begin()
    turn.exchange.close()


async def breaks(turn: Turn) -> None:
    """The request `id` is cut after `n` pieces the first time. Then it gets the whole text or, with a prefill, the rest of it; with
    `refuse=1` a prefill is refused, with `echo=1` a prefill is ignored, with `unlike=1` the text is another one, with `again=1`
    the second one is cut as well, at the end of the same text's block."""
    count = turn.number("n", 2)
    number = len(turn.wall.all(f"id={turn.options['id']}"))
    if number == 1 or (number == 2 and "again" in turn.options):
        await turn.begin(count)
        await turn.send(*turn.wire.end_text()[: number - 1])
        await turn.pause()
        return turn.exchange.close()
    turns = turn.body.get("messages") or turn.body.get("contents") or turn.body["input"]
    prefilled = isinstance(turns, list) and turns[-1].get("role") in ("assistant", "model")
    if prefilled and "refuse" in turn.options:
        return await turn.exchange.reply(400, json.dumps(turn.wire.error("No prefill here.", "invalid_request_error")).encode(), JSON)
    whole = ["Other", " words."] if "unlike" in turn.options else ["".join(TEXT[:3]), *TEXT[3:]]
    pieces = TEXT[count:] if prefilled and "echo" not in turn.options else whole
    await turn.begin(0)
    await turn.send(*told(turn.wire, pieces))
    await turn.exchange.end()


async def opens_for(turn: Turn) -> None:
    """The model `model` begins its answer and is cut before any text; the second request of the `id` is cut after some."""
    opens = turn.wire.model == turn.options["model"]
    if not opens and len(turn.wall.all(f"id={turn.options['id']}")) != 2:
        return await normal(turn)
    await turn.begin(0 if opens else 2)
    await turn.send(*(turn.wire.start() if opens else ()))
    await turn.pause()
    turn.exchange.close()


async def cut_clean(turn: Turn) -> None:
    """The body ends in good order, but the answer is not finished."""
    await turn.begin()
    await turn.exchange.end()


async def no_terminal(turn: Turn) -> None:
    """Finished, without `[DONE]` or `message_stop`."""
    await turn.begin(5)
    await turn.send(*turn.wire.end_text())
    await turn.exchange.end()


async def reset(turn: Turn) -> None:
    if turn.stream:
        await turn.begin()  # a reset without a gap overtakes the bytes before it
    turn.exchange.reset()


async def stall(turn: Turn) -> None:
    await turn.begin()
    await turn.gone()


async def silent(turn: Turn) -> None:
    """Not even a status line."""
    await turn.gone()


async def silent_for(turn: Turn) -> None:
    """Only the model `model` does not answer."""
    await (silent if turn.wire.model == turn.options["model"] else normal)(turn)


async def headers_only(turn: Turn) -> None:
    await turn.begin(0)
    await turn.gone()


async def garbage(turn: Turn) -> None:
    """`n` lines that are no JSON in mid-stream; a whole answer is cut JSON."""
    if not turn.stream:
        return await turn.exchange.reply(200, b'{"id": "chatcmpl-wall", "choi', JSON)
    await turn.begin()
    await turn.send(
        *[b"event: content_block_delta\ndata: {not json\n\n" if turn.wire.name == "anthropic" else b"data: {not json\n\n"]
        * turn.number("n", 5)
    )
    await turn.send(*map(turn.wire.text, TEXT[2:]), *turn.wire.end_text(), turn.wire.done)
    await turn.exchange.end()


async def error_event(turn: Turn) -> None:
    """An error inside a 200, after `after` pieces of text."""
    if not turn.stream:
        return await turn.exchange.reply(200, json.dumps(turn.wire.error("The wall is broken.")).encode(), JSON)
    after = turn.number("after", 2)
    await turn.begin(after)
    await turn.send(turn.wire.error_event("The wall is broken."))
    await turn.exchange.end()


async def late_error(turn: Turn) -> None:
    """After a while the model `model` sends an error instead of text, and a while later another one its answer."""
    await turn.begin(0)
    await turn.send(*turn.wire.start())
    await asyncio.sleep(0.3 if turn.wire.model == turn.options["model"] else 0.8)
    await turn.send(*([turn.wire.error_event("Late.")] if turn.wire.model == turn.options["model"] else told(turn.wire)))
    await turn.exchange.end()


async def empty(turn: Turn) -> None:
    """200 and nothing."""
    await turn.exchange.reply(200, b"", SSE if turn.stream else JSON)


async def html(turn: Turn) -> None:
    await turn.exchange.reply(200, b"<html><body>Welcome to nginx!</body></html>", [("content-type", "text/html")])


async def status(turn: Turn) -> None:
    """An error answer with everything a provider puts into its headers."""
    body = json.dumps(turn.wire.error("The wall says no.", turn.options.get("type", "wall_error"))).encode()
    ids = [("request-id", "req-wall-err")] if turn.wire.name == "anthropic" else [("x-request-id", "req-wall-err")]
    limits = [("x-ratelimit-remaining-requests", "3"), ("anthropic-ratelimit-requests-remaining", "4")]
    headers = [*JSON[:1], ("retry-after", "7"), *limits, *ids]
    await turn.exchange.reply(turn.number("code", 500), body, headers)


async def late_status(turn: Turn) -> None:
    """Of every model but `but`."""
    await asyncio.sleep(turn.number("ms", 100) / 1000)
    await (normal if turn.wire.model == turn.options.get("but") else status)(turn)


async def html_status(turn: Turn) -> None:
    await turn.exchange.reply(
        turn.number("code", 502), b"<html>Bad gateway: http://10.0.0.7/internal</html>", [("content-type", "text/html")]
    )


async def zipped(turn: Turn) -> None:
    body = turn.wire.whole("".join(TEXT))
    if turn.stream:
        body = b"".join(told(turn.wire))
    await turn.exchange.reply(200, gzip.compress(body), [*(SSE if turn.stream else JSON), ("content-encoding", "gzip")])


BEHAVIOURS: dict[str, Callable[[Turn], Awaitable[None]]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        normal, tool, agent, drip, gate, flood,
        cut, breaks, opens_for, cut_clean, silent_for, no_terminal, reset, stall, silent, headers_only, garbage, error_event, empty,
        html, status, late_status, late_error, html_status, zipped,
    )
}  # fmt: skip


class Wall:
    """`with Wall() as wall`: serves on `wall.url` until the block ends."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.url = ""
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="wall")
        self._loop: asyncio.AbstractEventLoop

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the fake provider did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with FakeHttp(self._respond) as http:
            self.url, self.exchanges = http.url, http.exchanges
            self._ready.set()
            await self._stop.wait()

    async def _respond(self, exchange: Exchange) -> None:
        path = exchange.target.partition("?")[0]
        if path.endswith("/count_tokens"):
            return await exchange.reply(200, b'{"input_tokens": 42 }', JSON)
        made = next((wire for ending, wire in WIRES.items() if path.endswith(ending)), None)
        if made is None:
            return await exchange.reply(404, b'{"error":{"message":"no such path","type":"invalid_request_error"}}', JSON)
        body = exchange.json()
        found = SPEC.findall(exchange.body)
        name, options = (part.decode() for part in found[-1]) if found else ("normal", "")
        wire = made(
            body.get("model") or path.rpartition("/")[2].partition(":")[0], bool((body.get("stream_options") or {}).get("include_usage"))
        )
        await BEHAVIOURS[name](Turn(self, exchange, wire, dict(parse_qsl(options))))

    def open(self, gate: str) -> None:
        self._loop.call_soon_threadsafe(self.gates[gate].set)

    def find(self, tag: str) -> Exchange:
        (found,) = self.all(tag)
        return found

    def all(self, tag: str) -> list[Exchange]:
        return [each for each in self.exchanges if tag.encode() in each.body]
