"""`kernel reload | status | stop | plugins why-parsed`: speak to a running gateway over its control socket."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from routeiq_sdk import ConfigError

from ..config.flags import flags_from
from ..config.kernel import kernel_settings
from ..config.load import load_here
from ..process.control import ask, socket_path
from .command import columns, complain, say

TIMEOUT_S = 15.0
RELOAD_S = 300.0
Text = Callable[[dict[str, Any]], str]
"""Makes words of the gateway's answer."""


def reload(args: Namespace) -> int:
    return tell(args, ask_gateway(args, {"op": "reload"}, RELOAD_S), _reloaded)


def status(args: Namespace) -> int:
    return tell(args, ask_gateway(args, {"op": "status"}), _status)


def stop(args: Namespace) -> int:
    return tell(args, ask_gateway(args, {"op": "stop"}), lambda _: "draining: the gateway ends when its open requests have ended")


def why_parsed(args: Namespace) -> int:
    return tell(args, ask_gateway(args, {"op": "why-parsed"}), _why_parsed)


def tell(args: Namespace, answer: dict[str, Any], text: Text) -> int:
    problems = answer.get("errors", ())
    if problems and not args.json:
        return complain(problems)
    say(args, answer, text)
    return 1 if problems else 0


def ask_gateway(args: Namespace, message: dict[str, Any], timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """The gateway that runs with the flags' state directory and port. Raises `ConfigError` where none answers."""
    flags = flags_from(args)
    try:
        settings = kernel_settings(load_here(flags))
    except ConfigError:  # a gateway can be asked, and stopped, while its file is broken
        settings = kernel_settings(load_here({**flags, "config": os.devnull}))
    path = socket_path(settings.state_dir, settings.port if "kernel.port" in flags else None)
    return ask(path, message, timeout_s)


def _reloaded(answer: dict[str, Any]) -> str:
    return "\n".join([f"reloaded: {answer['workers']} workers serve {answer['hash']}", *answer["notes"]])


def _status(answer: dict[str, Any]) -> str:
    source = f"{answer['config'] or 'no file'} ({answer['hash']})"
    head = f"port {answer['port']}, {source}, {answer['in_flight']} in flight, up {answer['uptime_s']:.0f} s"
    rows = [("worker", "pid", "state", "config", "in flight", "up")]
    for each in answer["workers"]:
        state = "draining" if each.get("draining") else each["state"]
        up = f"{each['uptime_s']:.0f} s"
        rows.append((str(each["index"]), str(each["pid"]), state, each.get("hash", "-"), str(each.get("in_flight", "-")), up))
    return f"parent {answer['pid']}: {head}{', draining' if answer['draining'] else ''}\n{columns(rows)}"


def _why_parsed(answer: dict[str, Any]) -> str:
    kinds = {"stream": "streamed answers", "whole": "whole answers"}
    lines = [f"{what} are parsed because of {', '.join(answer[kind])}" for kind, what in kinds.items() if answer.get(kind)]
    return "\n".join(lines) or "No plugin makes answers be parsed: they leave as the provider's bytes where the formats are equal."
