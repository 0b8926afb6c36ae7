"""`kernel explain REQUEST.json`: what would become of a request, by a running gateway or by one that is built for the question."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError, Namespace
from base64 import b64encode
from pathlib import Path
from typing import Any

from ..config.flags import flags_from
from .command import columns, command, complain
from .control import ask_gateway, tell

FLAGS_READ = ("config", "kernel.state_dir", "kernel.port", "kernel.plugins", "kernel.mode")
TIMEOUT_S = 35.0
APART = ("ok", "choices", "deployments")


def add_parser(subparsers: Any) -> None:
    parser = command(subparsers, "explain", run, "what would become of a request, which is sent nowhere", FLAGS_READ)
    parser.add_argument("file", metavar="REQUEST", help="the body of a request; - reads it from stdin")
    parser.add_argument("--path", default="/v1/chat/completions", help="the endpoint, and so the format (default: %(default)s)")
    parser.add_argument("--method", default="POST", type=str.upper)
    parser.add_argument("--header", action="append", default=[], type=_header, metavar="'NAME: VALUE'", help="may be repeated")
    parser.add_argument("--offline", action="store_true", help="by the configuration alone, whether a gateway runs or not")


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ArgumentTypeError(f"expected 'name: value', not {text!r}")
    return name.strip(), value.strip()


def run(args: Namespace) -> int:
    from routeiq_sdk import ConfigError

    try:
        body = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
    except OSError as error:
        raise ConfigError(f"{args.file}: {error.strerror}") from None
    asked = {"method": args.method, "path": args.path, "headers": args.header, "body": b64encode(body).decode()}
    return tell(args, _offline(args, asked) if args.offline else _asked(args, asked), _text)


def _asked(args: Namespace, asked: dict[str, Any]) -> dict[str, Any]:
    from routeiq_sdk import ConfigError

    try:
        return ask_gateway(args, {"op": "explain", **asked}, TIMEOUT_S)
    except ConfigError as error:
        if "config" not in flags_from(args):
            raise
        complain([f"{error}; explained by the configuration alone"], "warning")
        return _offline(args, asked)


def _offline(args: Namespace, asked: dict[str, Any]) -> dict[str, Any]:
    import asyncio

    from ..config.load import load_here
    from ..runtime.peers import Exchange
    from ..runtime.shared import Shared
    from .serve import make_gateway

    async def answer() -> dict[str, Any]:
        app = await make_gateway(load_here(flags_from(args)), Shared.create(1), Exchange())
        try:
            return await app.explain(asked)
        finally:
            await app.close()

    return asyncio.run(answer())


def _text(record: dict[str, Any]) -> str:
    rows = [(name.replace("_", " "), _words(value)) for name, value in record.items() if value is not None and name not in APART]
    return "\n\n".join([columns(rows), *(_choice(record, each) for each in record["choices"])])


def _words(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{name.replace('_', ' ')}: {each}" for name, each in value.items() if each is not None]
    if isinstance(value, list | tuple):
        return ", ".join(value) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _choice(record: dict[str, Any], choice: dict[str, Any]) -> str:
    by = f", by {choice['decided_by']}" if choice["decided_by"] else ""
    ids = dict.fromkeys((*choice["order"], *choice["candidates"]))
    rows = [("order", "score", "deployment", "model", "excluded")]
    for place, id in enumerate(ids, 1):
        score = f"{choice['scores'][id]:.4g}" if id in choice["scores"] else "-"
        order = str(place) if id in choice["order"] else "-"
        rows.append((order, score, id, record["deployments"][id], choice["excluded"].get(id, "")))
    return f"{choice['model']}: {choice['reason']}{by}\n{columns(rows)}"
