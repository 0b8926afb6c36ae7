"""The listening socket. What is set here is inherited by every accepted connection (Linux)."""

from __future__ import annotations

import errno
import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING

from routeiq_sdk import ConfigError, RouteIQError

if TYPE_CHECKING:
    from ..config.kernel import Settings

BACKLOG = 4096


class CannotListen(RouteIQError):
    """The operator's: says why the address cannot be served."""


def listen(settings: Settings) -> socket.socket:
    """Bound and listening. Raises `CannotListen`, or `ConfigError` for a server or a certificate that cannot be used."""
    if settings.server == "uvicorn" and find_spec("uvicorn") is None:
        raise ConfigError("kernel.server: uvicorn is not installed: pip install 'routeiq-kernel[uvicorn]'")
    check_tls(settings)
    host, port = settings.host, settings.port
    try:
        family, kind, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, kind)
    except OSError as error:
        raise CannotListen(f"kernel.host: {host!r} is no address of this machine: {error.strerror or error}") from None
    try:
        _set_options(sock, settings)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotListen(_why(error, host, port)) from None
    return sock


def check_tls(settings: Settings) -> None:
    """Raises `ConfigError` when certificate and key cannot be used together."""
    if settings.tls.certfile is None:
        return
    import ssl

    certfile, keyfile, password = tls_files(settings)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile, password)
    except OSError as error:
        raise ConfigError(f"kernel.tls: certificate {certfile} with key {keyfile}: {error}") from None


def tls_files(settings: Settings) -> tuple[str, str, str]:
    """Certificate, key (it may be in the certificate's file) and password: never None, or OpenSSL asks on the terminal."""
    tls = settings.tls
    return str(tls.certfile), str(tls.keyfile or tls.certfile), tls.keyfile_password.reveal() if tls.keyfile_password else ""


def _set_options(sock: socket.socket, settings: Settings) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # else a client that stopped reading keeps its socket, with what is queued in it
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.timeouts.send_stall_s * 1000))
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)


def _why(error: OSError, host: str, port: int) -> str:
    reasons = {
        errno.EADDRINUSE: f"port {port} is in use: stop what listens there, or choose another with --port",
        errno.EACCES: f"port {port} needs more rights (below 1024: root or CAP_NET_BIND_SERVICE): choose another with --port",
        errno.EADDRNOTAVAIL: f"kernel.host: this machine has no address {host}",
    }
    return reasons.get(error.errno or 0, f"cannot listen on {host}:{port}: {error.strerror}")


def url_of(sock: socket.socket, settings: Settings) -> str:
    """Where a client on this machine reaches the gateway."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host)
    scheme = "https" if settings.tls.certfile else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{settings.base_path}"
