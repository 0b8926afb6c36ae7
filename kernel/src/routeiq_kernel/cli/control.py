"""`kernel reload | status | stop`: speak to a running gateway over its control socket."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

TIMEOUTS_S = {"reload": 300.0, "status": 15.0, "stop": 15.0}
HELP = {
    "reload": "read the configuration again: all workers change, or none does",
    "status": "workers of the running gateway",
    "stop": "drain the running gateway and end it",
}


def add_parser(subparsers: Any) -> None:
    for verb, help in HELP.items():
        parser: ArgumentParser = subparsers.add_parser(verb, help=help, description=help)
        parser.add_argument("--state-dir", metavar="DIR", type=Path, help="state directory of the gateway (default: the configured one)")
        parser.add_argument("--port", "-p", metavar="PORT", type=int, help="its port, where several gateways share the state directory")
        parser.add_argument("--config", "-c", metavar="FILE", help="configuration file that names the state directory")
        parser.add_argument("--json", action="store_true", help="machine-readable output")
        parser.set_defaults(func=run, verb=verb)


def run(args: Namespace) -> int:
    from ..process.control import ask, socket_path

    answer = ask(socket_path(_state_dir(args), args.port), {"op": args.verb}, TIMEOUTS_S[args.verb])
    if args.json:
        print(json.dumps(answer, indent=2))
    elif answer["ok"]:
        print("\n".join(LINES[args.verb](answer)))
    else:
        print("\n".join(f"error: {error}" for error in answer["errors"]), file=sys.stderr)
    return 0 if answer["ok"] else 1


def _state_dir(args: Namespace) -> Path:
    if args.state_dir is not None:
        return Path(args.state_dir)
    from routeiq_sdk import ConfigError

    from ..config.kernel import kernel_settings
    from ..config.load import load_here

    try:
        return kernel_settings(load_here({"config": args.config} if args.config else {})).state_dir
    except ConfigError:  # a gateway can be asked, and stopped, while its file is broken
        return kernel_settings(load_here({"config": os.devnull})).state_dir


def _reloaded(answer: dict[str, Any]) -> list[str]:
    return [f"reloaded: {answer['workers']} workers serve {answer['hash']}", *answer["notes"]]


def _status(answer: dict[str, Any]) -> list[str]:
    source = f"{answer['config'] or 'no file'} ({answer['hash']})"
    head = f"port {answer['port']}, {source}, {answer['in_flight']} in flight, up {answer['uptime_s']:.0f} s"
    rows = [("worker", "pid", "state", "config", "in flight", "up")]
    for each in answer["workers"]:
        state = "draining" if each.get("draining") else each["state"]
        up = f"{each['uptime_s']:.0f} s"
        rows.append((str(each["index"]), str(each["pid"]), state, each.get("hash", "-"), str(each.get("in_flight", "-")), up))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [f"parent {answer['pid']}: {head}{', draining' if answer['draining'] else ''}", *table]


def _stopped(answer: dict[str, Any]) -> list[str]:
    return ["draining: the gateway ends when its open requests have ended"]


LINES = {"reload": _reloaded, "status": _status, "stop": _stopped}
