"""`kernel serve`: the gateway, in the foreground."""

from __future__ import annotations

import sys
from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..config.flags import FLAGS, flags_from
from .command import command, complain

if TYPE_CHECKING:
    from ..config.load import Document
    from ..process.worker import Work
    from ..runtime.peers import Exchange
    from ..runtime.shared import Shared
    from ..web.app import Gateway


def add_parser(subparsers: Any) -> None:
    command(subparsers, "serve", run, "run the gateway in the foreground", FLAGS, has_json=False)


def run(args: Namespace, work: Work | None = None) -> int:
    """`work` is what each worker does, `process.worker.work` as a rule."""
    from routeiq_sdk import ConfigError

    from ..config.kernel import kernel_settings
    from ..config.load import load_here
    from ..process.listen import listen, url_of
    from ..process.report import start_report
    from ..process.worker import EXIT_CONFIG
    from ..process.worker import work as serve_gateway
    from ..web.log import set_up

    load = partial(load_here, flags_from(args))
    document = None
    try:
        document = load()
        settings = kernel_settings(document)
        listener = listen(settings)
    except ConfigError as error:
        complain(_everything(error, document))
        return EXIT_CONFIG
    set_up(settings.log_level, settings.log_format)
    work = work or partial(serve_gateway, make_app=make_gateway)

    def report(ready: dict[str, Any]) -> None:
        print(start_report(url_of(listener, settings), document, settings, ready), file=sys.stderr, flush=True)

    if sys.platform == "win32":  # no fork there: one worker, in this process
        from ..process.worker import Seat
        from ..runtime.shared import Shared

        return work(Seat(0, document, settings, listener, Shared.create(1), report=report))
    from ..process.parent import Parent, supervise

    return supervise(Parent(load, document, settings, listener, report), work)


def _everything(error: Any, document: Document | None) -> list[str]:
    """What was raised, and what else `kernel config check` finds."""
    from .config import examine

    return list(dict.fromkeys((*error.problems, *(examine(document).problems if document else ()))))


async def make_gateway(document: Document, shared: Shared, exchange: Exchange) -> Gateway:
    """Raises `ConfigError` with everything that is wrong, not only with what was found first."""
    from routeiq_sdk import ConfigError, GraphError

    from ..web.app import Gateway

    try:
        return await Gateway.start(document, shared, exchange)
    except (ConfigError, GraphError) as error:
        raise ConfigError(*_everything(error, document)) from error
