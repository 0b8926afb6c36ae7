"""A body that is passed on as it comes. Of a multipart form only the field `model` is read and replaced: what comes before it is
spooled, what follows is streamed and still searched, because a second `model` would be one that nobody authorised."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from sys import maxsize
from tempfile import SpooledTemporaryFile
from time import monotonic

from routeiq_sdk import ClientError

from .context import Rc, Stopped

SPOOL_BYTES = 1024 * 1024
"""What is kept in memory of it; the rest is on disk."""
PIECE_BYTES = 256 * 1024
HEAD_BYTES = 16 * 1024
MAX_VALUE_BYTES = 1024
BOUNDARY = re.compile(r"""(?i);\s*boundary=(?:"([^"\\]{1,200})"|([^\s;"]{1,200}(?=[\s;]|$)))""")
HEAD_END = re.compile(rb"\r?\n\r?\n")
EXTENDED = re.compile(rb"(?i);\s*name\s*\*")
MODEL = re.compile(rb"""(?i);\s*name\s*(?:\*[^=;\s]{0,9})?=\s*(?:[\w-]*'[\w-]*')?["']?model["']?\s*(?:;|\r|\n|$)""")


def boundary_of(content_type: str) -> bytes | None:
    """None: no multipart form. Raises `ClientError` for one without a boundary."""
    if not content_type.lower().startswith("multipart/form-data"):
        return None
    found = BOUNDARY.search(content_type[:1000])
    if found is None or content_type.lower().count("boundary") > 1 + found[0][9:].lower().count("boundary"):
        raise ClientError("The multipart body needs one boundary of at most 200 characters.", code="invalid_boundary")
    return (found[1] or found[2]).encode("latin-1")


class ModelField:
    """Finds the value of the field `model`: `span` in the bytes fed so far. Line ends may lack their CR, as some servers allow."""

    def __init__(self, boundary: bytes) -> None:
        self.span: tuple[int, int] | None = None
        self.value = b""
        self.has_parts = False
        self.mark = b"\n--" + boundary
        self._rest = bytearray(b"\n")
        self._at = -1
        """Where `_rest` begins in the body."""
        self._state = "part"

    def feed(self, data: bytes) -> None:
        """Raises `ClientError`."""
        self._rest += data
        while self._step():
            pass

    def _step(self) -> bool:
        rest = self._rest
        if self._state in ("part", "value"):
            at = rest.find(self.mark)
            if self._state == "value" and max(at, len(rest) - len(self.mark) if at < 0 else 0) > MAX_VALUE_BYTES:
                raise ClientError("The form's field model is too long.", param="model")
            if at < 0:
                if self._state == "part":
                    self._drop(max(0, len(rest) - len(self.mark) + 1))
                return False
            if self._state == "value":
                self._keep(at)
            self._drop(at + len(self.mark))
            self._state, self.has_parts = "head", True
        if len(rest) < 2:
            return False
        if rest.startswith(b"--"):  # the last one; a server that sees it otherwise may read on, and so do we
            self._state = "part"
            return True
        found = HEAD_END.search(rest, 0, HEAD_BYTES)
        if found is None:
            if len(rest) >= HEAD_BYTES:
                raise ClientError("The header of a part of the form is too long.")
            return False
        head = bytes(rest[: found.end()]).replace(b"\\", b"")
        self._state = "value" if MODEL.search(head) else "part"
        if self._state == "part" and EXTENDED.search(head):
            raise ClientError("A part of the form spells its name in a way that RFC 7578, 4.2 forbids.", code="invalid_form")
        self._drop(found.end() - (self._state == "part"))  # an empty part's end begins with that line feed
        return True

    def _keep(self, end: int) -> None:
        if self.span is not None:
            raise ClientError("The form names the field model twice.", param="model")
        self.value = bytes(self._rest[:end]).removesuffix(b"\r")
        self.span = (self._at, self._at + len(self.value))

    def _drop(self, count: int) -> None:
        del self._rest[:count]
        self._at += count


class Upload:
    """`error`: why the body could not be read to its end; the provider then saw it break off. `ended`: all of it is spooled."""

    def __init__(self, rc: Rc, boundary: bytes | None) -> None:
        self._rc = rc
        self._limits = rc.graph.settings.limits
        self._field = ModelField(boundary) if boundary else None
        self._spool = SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 (`close` closes it)
        self.ended = False
        self.error: ClientError | Stopped | None = None

    async def model(self) -> str | None:
        """What the form's field `model` says."""
        while self._field and self._field.span is None and not self.ended:
            self._spool.write(await self._piece())
        if self._field and not self._field.has_parts:
            raise ClientError("The body is not the multipart form that its content type says.", code="invalid_form")
        return self._field.value.decode("utf-8", "replace") if self._field and self._field.span else None

    async def _piece(self) -> bytes:
        rc = self._rc
        before = rc.watch.until, rc.watch.what
        rc.watch.until, rc.watch.what = min(before[0], monotonic() + self._limits.body_timeout_s), "body"
        try:
            data = await rc.ingress.piece(self._limits.max_upload_bytes)
            if self._field:
                self._field.feed(data)
        except (ClientError, Stopped) as error:
            self.error = error
            raise
        if not rc.egress.started:  # else the answer's sender waits
            rc.watch.until, rc.watch.what = before
        if not data:
            self.ended = True
            rc.ingress.listen()
        return data

    def length(self, model: str) -> int | None:
        """In bytes, with another model's name in it; None: the client did not say."""
        given = self._rc.headers.get("content-length")
        span = self._field.span if self._field else None
        more = len(model.encode()) - (span[1] - span[0]) if span else len(self._added(model))
        return None if given is None else int(given) + more

    def _added(self, model: str) -> bytes:
        """The field for a form without one; where nobody named a model, the provider chooses."""
        if self._field is None or self._field.span is not None or not model:
            return b""
        return self._field.mark[1:] + b'\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + model.encode() + b"\r\n"

    async def body(self, model: str) -> AsyncIterator[bytes]:
        """All of it, with this model's name in it."""
        for piece in self._spooled(model):
            yield piece
        while not self.ended:
            try:
                data = await self._piece()
            except Stopped:
                if self._rc.gone:
                    self._rc.leave()
                raise
            if data:
                yield data

    def _spooled(self, model: str) -> Iterator[bytes]:
        spool, span = self._spool, self._field.span if self._field else None
        spool.seek(0)
        yield self._added(model)
        if span:
            yield from _pieces(spool, span[0])
            yield model.encode()
            spool.seek(span[1])
        yield from _pieces(spool)

    def close(self) -> None:
        self._spool.close()


def _pieces(spool: SpooledTemporaryFile[bytes], count: int = maxsize) -> Iterator[bytes]:
    while data := spool.read(min(PIECE_BYTES, count)):
        count -= len(data)
        yield data
