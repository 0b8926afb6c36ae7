"""`kernel explain REQUEST.json`: what would become of a request, by a running gateway or by one that is built for the question."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from base64 import b64encode
from pathlib import Path
from typing import Any

from routeiq_sdk import ConfigError

from ..config.flags import flags_from
from ..config.load import load_here
from ..runtime.peers import Exchange
from ..runtime.shared import Shared
from .command import columns, complain, words
from .control import ask_gateway, tell
from .serve import make_gateway

TIMEOUT_S = 35.0
APART = ("ok", "choices", "deployments")


def run(args: Namespace) -> int:
    try:
        body = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
    except OSError as error:
        raise ConfigError(f"{args.file}: {error.strerror}") from None
    asked = {"method": args.method, "path": args.path, "headers": args.header, "body": b64encode(body).decode()}
    return tell(args, asyncio.run(_offline(args, asked)) if args.offline else _asked(args, asked), _text)


def _asked(args: Namespace, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        return ask_gateway(args, {"op": "explain", **asked}, TIMEOUT_S)
    except ConfigError as error:
        if "config" not in flags_from(args):
            raise
        complain([f"{error}; explained by the configuration alone"], "warning")
        return asyncio.run(_offline(args, asked))


async def _offline(args: Namespace, asked: dict[str, Any]) -> dict[str, Any]:
    app = await make_gateway(load_here(flags_from(args)), Shared.create(1), Exchange())
    try:
        return await app.explain(asked)
    finally:
        await app.close()


def _text(record: dict[str, Any]) -> str:
    rows = [(name.replace("_", " "), words(value)) for name, value in record.items() if value is not None and name not in APART]
    return "\n\n".join([columns(rows), *(_choice(record, each) for each in record["choices"])])


def _choice(record: dict[str, Any], choice: dict[str, Any]) -> str:
    by = f", by {choice['decided_by']}" if choice["decided_by"] else ""
    rows = [("order", "score", "deployment", "model", "excluded")]
    for place, id in enumerate(dict.fromkeys((*choice["order"], *choice["candidates"])), 1):
        score = f"{choice['scores'][id]:.4g}" if id in choice["scores"] else "-"
        order = str(place) if id in choice["order"] else "-"
        rows.append((order, score, id, record["deployments"][id], choice["excluded"].get(id, "")))
    return f"{choice['model']}: {choice['reason']}{by}\n{columns(rows)}"
