"""What went wrong with a connection → `UpstreamError`. The client reads of "the provider"; `detail`, for the log, names host and
port. Neither holds path, query or headers."""

from __future__ import annotations

import os
import ssl

from aiohttp import (
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientHttpProxyError,
    ClientOSError,
    ClientProxyConnectionError,
    ClientResponseError,
    ClientSSLError,
    InvalidURL,
    ServerConnectionError,
)
from routeiq_sdk import UpstreamError
from routeiq_sdk.stream import Error


def failed(error: Exception, place: str, connect_timeout_s: float | None) -> UpstreamError:
    """The failure of a request that has no answer yet."""
    if isinstance(error, TimeoutError):
        return _error(place, f"could not connect to {{}} within {connect_timeout_s:g} s", "connect", "gateway_timeout")
    if isinstance(error, ClientHttpProxyError):
        return _error(place, f"could not connect to {{}}: the proxy answered {error.status}", "connect")
    if isinstance(error, ClientProxyConnectionError):
        return _error(place, f"could not connect to {{}}: the proxy is not reachable ({_reason(error.os_error)})", "connect")
    if isinstance(error, ClientConnectorDNSError):
        return _error(place, "could not connect to {}: the name cannot be resolved", "connect")
    if isinstance(error, ClientSSLError):
        return _error(place, f"could not connect to {{}}: {_tls_reason(error)}", "connect")
    if isinstance(error, ClientConnectorError):
        return _error(place, f"could not connect to {{}}: {_reason(error.os_error)}", "connect")
    if isinstance(error, ClientResponseError):
        return _error(place, "{} sent something that is no HTTP answer", "headers")
    if isinstance(error, InvalidURL | ValueError):
        return _error(place, "a request to {} cannot be written: its address or a header holds characters that are not allowed", "send")
    if isinstance(error, ConnectionResetError) or "write" in str(getattr(error, "strerror", "")):
        return _error(place, "{} closed the connection before it had the whole request", "send")
    if isinstance(error, ClientOSError) and not isinstance(error, ServerConnectionError):
        return _error(place, f"the connection to {{}} broke before an answer came: {_reason(error)}", "headers")
    return _error(place, "{} closed the connection before it answered", "headers")


def closed(place: str) -> UpstreamError:
    return _error(place, "could not connect to {}: the plugin http_client is not running", "connect")


def no_socket(place: str, status: int) -> UpstreamError:
    """The provider refused the handshake of a WebSocket; its words are not to be had."""
    kind = {400: "invalid_request", 403: "permission", 404: "not_found", 429: "rate_limit"}.get(status, "bad_gateway")
    return _error(place, f"{{}} answered {status} where a WebSocket was asked for", "headers", kind)


def broken(place: str) -> UpstreamError:
    return _error(place, "the connection to {} broke inside its answer", "body")


def too_large(place: str, limit_bytes: int) -> UpstreamError:
    return _error(place, f"the answer of {{}} is larger than {limit_bytes} bytes", "body")


def _error(place: str, text: str, phase: str, kind: str = "bad_gateway") -> UpstreamError:
    """`text` holds {} where the place goes."""
    message = text.replace("{}", "the provider")
    return UpstreamError(
        Error(kind=kind, code="upstream_error", message=message[0].upper() + message[1:]), phase, text.replace("{}", place)
    )


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__


def _tls_reason(error: ClientSSLError) -> str:
    cause = getattr(error, "certificate_error", None) or error.os_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message})"
    return f"the TLS handshake failed ({getattr(cause, 'reason', None) or type(cause).__name__})"
