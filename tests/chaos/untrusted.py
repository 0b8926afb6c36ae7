"""A TLS server whose certificate nobody trusts: no client gets as far as a request."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import trustme


@contextmanager
def untrusted() -> Iterator[str]:
    """Its host and port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    class Handshake(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                context.wrap_socket(self.request, server_side=True).close()

    with ThreadingTCPServer(("127.0.0.1", 0), Handshake) as server:
        thread = Thread(target=server.serve_forever, args=(0.1,), name="untrusted")
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(10)
