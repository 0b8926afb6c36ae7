"""`kernel serve`: the gateway, in the foreground."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING, Any

from routeiq_sdk import ConfigError, GraphError

from .. import __version__
from ..config.flags import flags_from
from ..config.kernel import Settings, kernel_settings
from ..config.load import Document, load_here
from ..process.listen import listen, url_of
from ..process.worker import EXIT_CONFIG, Seat, Work
from ..process.worker import work as serve_gateway
from ..runtime.peers import Exchange
from ..runtime.shared import Shared
from ..web.log import set_up
from .command import complain

if TYPE_CHECKING:
    from ..web.app import Gateway


def run(args: Namespace, work: Work | None = None) -> int:
    """`work` is what each worker does, `process.worker.work` as a rule."""
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
        return work(Seat(0, document, settings, listener, Shared.create(1), report=report))
    from ..process.parent import Parent, supervise

    return supervise(Parent(load, document, settings, listener, report), work)


def start_report(url: str, document: Document, settings: Settings, ready: dict[str, Any]) -> str:
    """What start-up says. `ready` is what the first worker's gateway says of itself; `{url}` in an announcement stands for the
    gateway's URL."""
    models = ready["models"]
    more = f" and {len(models) - 5} more" if len(models) > 5 else ""
    workers = f"{settings.workers} worker{'s' if settings.workers > 1 else ''}"
    lines = [
        f"RouteIQ {__version__} serves {url} ({settings.mode} mode, {workers}, parent {os.getpid()})",
        f"plugins  {', '.join(plugin['name'] for plugin in ready['plugins']) or 'none: only health is served'}",
        f"models   {', '.join(models[:5]) + more or 'none'}",
        f"config   {document.path or 'no file: defaults'} ({document.hash})",
        *(line for said in ready["announcements"] for line in said.replace("{url}", url).splitlines()),
        *(f"warning  {line}" for line in ready["warnings"]),
    ]
    return "\n  ".join(lines)


def _everything(error: ConfigError | GraphError, document: Document | None) -> list[str]:
    """What was raised, and what else `kernel config check` finds."""
    from .config import examine

    return list(dict.fromkeys((*error.problems, *(examine(document).problems if document else ()))))


async def make_gateway(document: Document, shared: Shared, exchange: Exchange) -> Gateway:
    """Raises `ConfigError` with everything that is wrong, not only with what was found first."""
    from ..web.app import Gateway

    try:
        return await Gateway.start(document, shared, exchange)
    except (ConfigError, GraphError) as error:
        raise ConfigError(*_everything(error, document)) from error
