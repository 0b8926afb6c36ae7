"""`kernel serve`: the gateway, in the foreground."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..config.flags import add_flags, flags_from

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from ..config.kernel import Settings
    from ..config.load import Document
    from ..process.seat import Work

EXIT_CONFIG = 78


def add_parser(subparsers: Any) -> None:
    parser: ArgumentParser = subparsers.add_parser("serve", help="run the gateway", description="Run the gateway in the foreground.")
    add_flags(parser)
    parser.set_defaults(func=run)


def run(args: Namespace, work: Work | None = None) -> int:
    """`work` is what each worker does, `process.worker.work` as a rule."""
    from routeiq_sdk import ConfigError

    from ..config.kernel import kernel_settings
    from ..config.load import load_here
    from ..process.listen import CannotListen, listen
    from ..process.worker import work as serve_gateway

    load = partial(load_here, flags_from(args))
    try:
        document = load()
        settings = kernel_settings(document)
        listener = listen(settings)
    except ConfigError as error:
        print(*(f"error: {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        return EXIT_CONFIG
    except CannotListen as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return _supervise(load, document, settings, listener, work or serve_gateway)


def _supervise(load: Callable[[], Document], document: Document, settings: Settings, listener: socket, work: Work) -> int:
    from ..process.listen import url_of
    from ..process.report import start_report
    from ..web.log import set_up

    set_up(settings.log_level, settings.log_format)

    def report(ready: dict[str, Any]) -> None:
        print(start_report(url_of(listener, settings), document, settings, ready), file=sys.stderr, flush=True)

    if sys.platform == "win32":  # no fork there: one worker, in this process
        from ..process.seat import Seat
        from ..runtime.shared import Shared

        return work(Seat(0, document, settings, listener, Shared.create(1), report=report))
    from ..process.parent import Parent, supervise

    return supervise(Parent(load, document, settings, listener, report), work)
