"""What went wrong with a connection → `UpstreamError`. Messages name host and port, never path, query or headers."""

from __future__ import annotations

import os
import ssl

from aiohttp import (
    ClientConnectionResetError,
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
        return _error(f"could not connect to {place} within {connect_timeout_s:g} s", "connect", "gateway_timeout")
    if isinstance(error, ClientHttpProxyError):
        return _error(f"could not connect to {place}: the proxy answered {error.status}", "connect")
    if isinstance(error, ClientProxyConnectionError):
        return _error(f"could not connect to {place}: the proxy is not reachable ({_reason(error.os_error)})", "connect")
    if isinstance(error, ClientConnectorDNSError):
        return _error(f"could not connect to {place}: the name cannot be resolved", "connect")
    if isinstance(error, ClientSSLError):
        return _error(f"could not connect to {place}: {_tls_reason(error)}", "connect")
    if isinstance(error, ClientConnectorError):
        return _error(f"could not connect to {place}: {_reason(error.os_error)}", "connect")
    if isinstance(error, ClientResponseError):
        return _error(f"{place} sent something that is no HTTP answer", "headers")
    if isinstance(error, InvalidURL | ValueError):
        return _error(f"a request to {place} cannot be written: its address or a header holds characters that are not allowed", "send")
    if isinstance(error, ClientConnectionResetError) or "write" in str(getattr(error, "strerror", "")):
        return _error(f"{place} closed the connection before it had the whole request", "send")
    if isinstance(error, ClientOSError) and not isinstance(error, ServerConnectionError):
        return _error(f"the connection to {place} broke before an answer came: {_reason(error)}", "headers")
    return _error(f"{place} closed the connection before it answered", "headers")


def closed(place: str) -> UpstreamError:
    return _error(f"could not connect to {place}: the plugin http_client is not running", "connect")


def broken(place: str) -> UpstreamError:
    return _error(f"the connection to {place} broke inside its answer", "body")


def too_large(place: str, limit_bytes: int) -> UpstreamError:
    return _error(f"the answer of {place} is larger than {limit_bytes} bytes", "body")


def _error(message: str, phase: str, kind: str = "bad_gateway") -> UpstreamError:
    return UpstreamError(Error(kind=kind, message=message), phase)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__


def _tls_reason(error: ClientSSLError) -> str:
    cause = getattr(error, "certificate_error", None) or error.os_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message})"
    return f"the TLS handshake failed ({getattr(cause, 'reason', None) or type(cause).__name__})"
