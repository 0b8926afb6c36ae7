"""JSON lines on stderr: ids, names and numbers; never payloads, headers or an exception's text of a request."""

from __future__ import annotations

import logging
import sys
from time import gmtime, monotonic, strftime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from ..pipeline.context import Rc

LIBRARIES = ("aiohttp", "asyncio", "h2", "hpack", "hypercorn", "uvicorn", "wsproto")
"""At level debug they log headers and payloads: never below warning."""
request_log = logging.getLogger("routeiq.request")
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": strftime("%Y-%m-%dT%H:%M:%S", gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=repr).decode()


def set_up(level: str, format: str) -> None:
    """Once per process, at its start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


def log_request(rc: Rc) -> None:
    """One line at the end of a request: complete ones at level debug, what the client caused at info, the rest at warning."""
    status = rc.outcome_status
    level = logging.DEBUG if status == "complete" else logging.INFO if rc.http_status < 500 else logging.WARNING
    if not request_log.isEnabledFor(level):
        return
    error = rc.outcome_error
    request_log.log(level, "%s %s", rc.surface.method, rc.surface.path, extra={
        "request_id": rc.request_id, "outcome": status, "status": rc.http_status, "kind": error.kind if error else None,
        "code": error.code if error else None, "detail": rc.detail or None, "model": rc.request.model[:128] if rc.request else None,
        "deployment": rc.bound.deployment.id if rc.bound else None, "attempts": len(rc.attempts), "path": rc.route_taken,
        "principal": rc.principal.id if rc.principal else None, "duration_ms": round((monotonic() - rc.started_s) * 1000, 1),
    })  # fmt: skip
