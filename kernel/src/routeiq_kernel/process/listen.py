"""The listening socket. What is set here is inherited by every accepted connection (Linux)."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING

from routeiq_sdk import ConfigError, RouteIQError

if TYPE_CHECKING:
    from ..config.kernel import Settings

BACKLOG = 4096
KEEPALIVE_S = 30


class CannotListen(RouteIQError):
    """The operator's: says why the address cannot be served."""


def listen(settings: Settings) -> socket.socket:
    """Bound and listening. Raises `CannotListen`, or `ConfigError` for a server or a certificate that cannot be used."""
    if settings.server == "uvicorn" and find_spec("uvicorn") is None:
        raise ConfigError("kernel.server: uvicorn is not installed: pip install 'routeiq-kernel[uvicorn]'")
    check_tls(settings)
    host, port = settings.host, settings.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        sock = socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=both)
        _set_options(sock, settings)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}. Choose another with --host or --port") from None
    return sock


def check_tls(settings: Settings) -> None:
    """Raises `ConfigError` when certificate and key cannot be used together."""
    certfile, keyfile, password = tls_files(settings)
    if certfile is None:
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile, password)
    except OSError as error:
        raise ConfigError(f"kernel.tls: certificate {certfile} with key {keyfile}: {error}") from None


def tls_files(settings: Settings) -> tuple[str, str, str] | tuple[None, None, None]:
    """Certificate, key (it may be in the certificate's file) and password, which is never None with a certificate, or OpenSSL asks
    on the terminal."""
    tls = settings.tls
    if tls.certfile is None:
        return None, None, None
    return str(tls.certfile), str(tls.keyfile or tls.certfile), tls.keyfile_password.reveal() if tls.keyfile_password else ""


def _set_options(sock: socket.socket, settings: Settings) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # else a client that stopped reading keeps its socket, with what is queued in it
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.timeouts.send_stall_s * 1000))
    if hasattr(socket, "TCP_KEEPIDLE"):  # a WebSocket may be silent for long, and its client gone
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)


def url_of(sock: socket.socket, settings: Settings) -> str:
    """Where a client on this machine reaches the gateway."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host)
    scheme = "https" if settings.tls.certfile else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{settings.base_path}"
