"""`kernel doctor`: does this machine suit the gateway? One line per finding, with a remedy. Exit status 1 when one fails."""

from __future__ import annotations

import binascii
import calendar
import os
import re
import socket
import ssl
import sys
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import strptime, time
from urllib.parse import urlsplit

from routeiq_sdk import ConfigError

from ..config.flags import flags_from
from ..config.kernel import Settings
from ..config.load import Document, load_here
from ..process.control import ask, socket_path
from ..process.listen import CannotListen, check_tls, listen
from .command import say
from .config import Checked, examine

FILES_BESIDE_REQUESTS, FILES_PER_REQUEST, FEW_FILES = 128, 2, 4096
WAIT_S = 5.0
SOON_DAYS = 14
VALIDITY = re.compile(rb"\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z")

Findings = Iterator[tuple[str, str, str]]
"""Status (ok, warn or fail), detail, remedy."""


def run(args: Namespace) -> int:
    try:
        checked = examine(load_here(flags_from(args)))
    except ConfigError as error:
        checked = Checked(Document(), problems=list(error.problems))
    settings: Settings = checked.configs.get("kernel") or Settings()
    findings = {
        "config": configuration(checked), "open files": open_files(settings.max_concurrent_requests),
        "state dir": state_dir(settings.state_dir), "tls": tls(settings), "port": port(settings), "dns": dns(checked, settings),
    }  # fmt: skip
    rows = [dict(zip(("check", "status", "detail", "remedy"), (name, *row), strict=True)) for name in findings for row in findings[name]]
    say(args, rows, lambda rows: "\n".join(map(_line, rows)))
    return 1 if any(row["status"] == "fail" for row in rows) else 0


def _line(row: dict[str, str]) -> str:
    return f"{row['status']:4}  {row['check']:10}  {row['detail']}{' -> ' if row['remedy'] else ''}{row['remedy']}"


def configuration(checked: Checked) -> Findings:
    """What `kernel config check` says of the file, the settings and the set of plugins."""
    for problem in checked.problems:
        yield "fail", problem, "see kernel config check, kernel plugins graph"
    for warning in checked.warnings:
        yield "warn", warning, ""
    if not checked.problems:
        yield "ok", checked.document.path or "no configuration file", ""


def open_files(requests: int) -> Findings:
    if sys.platform == "win32":
        return
    import resource

    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = requests * FILES_PER_REQUEST + FILES_BESIDE_REQUESTS if requests else FEW_FILES
    if resource.RLIM_INFINITY != limit < wanted:
        what = f"{requests} concurrent requests" if requests else "a busy gateway"
        remedy = f"ulimit -n {wanted} (at most {most}), or LimitNOFILE= of systemd"
        yield "fail" if requests else "warn", f"{limit}; {what} may need {wanted}", remedy
    else:
        yield "ok", str(limit), ""


def state_dir(path: Path) -> Findings:
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield "fail", f"{path} cannot be written", "choose another with ROUTEIQ_STATE_DIR or --state-dir"
    elif there == path and path.stat().st_mode & 0o077 and sys.platform != "win32":
        yield "warn", f"{path} is open to other users, and holds keys", f"chmod 700 {path}"
    else:
        yield "ok", f"{path}{'' if there == path else ' (will be created)'}", ""


def tls(settings: Settings) -> Findings:
    certfile = settings.tls.certfile
    if certfile is None:
        return
    try:
        check_tls(settings)
        days = int((expiry(certfile) - time()) // 86400)
    except (ConfigError, ValueError) as error:
        yield "fail", f"{certfile}: {error}", ""
        return
    status = "fail" if days < 0 else "warn" if days < SOON_DAYS else "ok"
    yield status, f"{certfile}: {'expired' if days < 0 else f'{days} days left'}", "" if status == "ok" else "renew the certificate"


def expiry(certfile: Path) -> float:
    """When the first certificate of the file ends, in seconds since 1970. Raises `ValueError`."""
    body = certfile.read_text("ascii", "replace").partition(ssl.PEM_HEADER)[2].partition(ssl.PEM_FOOTER)[0]
    dates = VALIDITY.findall(binascii.a2b_base64(body))
    if len(dates) < 2:
        raise ValueError("it has no dates of validity")
    short, long = (part.decode() for part in dates[1])
    return float(calendar.timegm(strptime(long or f"20{short}", "%Y%m%d%H%M%S")))


def port(settings: Settings) -> Findings:
    try:
        listen(settings).close()
        yield "ok", f"{settings.host}:{settings.port} is free", ""
    except ConfigError:
        return  # `tls` and `configuration` say why
    except CannotListen as error:
        try:
            running = ask(socket_path(settings.state_dir, settings.port), {"op": "status"}, WAIT_S)
            yield "ok", f"{settings.port} is served by this gateway (pid {running['pid']})", ""
        except ConfigError:
            yield "fail", str(error), ""


def dns(checked: Checked, settings: Settings) -> Findings:
    """The hosts of all deployments, or the proxy that resolves them."""
    urls = [settings.proxy] if settings.proxy else [each.api_base for each in checked.deployments]
    hosts = sorted({name for url in urls if url and (name := urlsplit(url).hostname)})
    pool = ThreadPoolExecutor(8)
    for host, found in [(host, pool.submit(socket.getaddrinfo, host, None)) for host in hosts]:
        try:
            yield "ok", f"{host} is {found.result(WAIT_S)[0][4][0]}", ""
        except (OSError, UnicodeError) as error:
            yield "fail", f"{host}: {error or 'no answer'}", "check api_base, and the resolver of this machine"
    pool.shutdown(wait=False)
