"""What a worker starts with."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from attrs import frozen

from ..config.kernel import Settings
from ..config.load import Document
from ..runtime.shared import Shared

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h"""


@frozen(eq=False)
class Seat:
    """`link` is the worker's end of the socket to its parent, None where there is no parent."""

    index: int
    document: Document
    settings: Settings
    listener: socket.socket
    shared: Shared
    link: socket.socket | None = None
    report: Callable[[dict[str, Any]], None] | None = None
    """Told of readiness where there is no parent."""


Work = Callable[[Seat], int]
"""Serves until drained, in its own process; the exit code."""
