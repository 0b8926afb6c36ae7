"""Reasoning state of other providers in the fields that Anthropic clients give back unchanged.

A value is `rq1.<family>.<base64url(deflate(JSON))>`. It comes back from the client: it is data, never trusted.
"""

from __future__ import annotations

import binascii
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk.stream import Reasoning, Seal
from routeiq_sdk.wire import dumps

PREFIX = "rq1."
MAX_BYTES = 4 * 1024 * 1024


class Sealed(Struct, omit_defaults=True):
    value: str = ""
    model: str = ""
    form: str = "thinking"
    item_id: str | None = None
    native: Raw = Raw(b"null")


_decoder = msgspec.json.Decoder(Sealed)


def wrap(block: Reasoning, value: str, family: str) -> str:
    model = block.seal.model if block.seal else ""
    sealed = Sealed(value, model, block.form, block.item_id, Raw(block.native or b"null"))
    packed = zlib.compress(dumps(sealed), 6)
    return f"{PREFIX}{family}.{urlsafe_b64encode(packed).decode().rstrip('=')}"


def unwrap(text: str, visible: str) -> Reasoning | None:
    """The block that was wrapped, None for what does not decode."""
    family, _, packed = text.removeprefix(PREFIX).partition(".")
    try:
        data = urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        inflater = zlib.decompressobj()
        plain = inflater.decompress(data, MAX_BYTES)
        sealed = _decoder.decode(plain)
    except (binascii.Error, zlib.error, msgspec.MsgspecError, ValueError, RecursionError):
        return None
    native = bytes(sealed.native)
    return Reasoning(
        form=sealed.form,
        text=visible,
        seal=Seal(sealed.value, family, sealed.model),
        item_id=sealed.item_id,
        native=b"" if native == b"null" else native,
        origin=family,
    )
