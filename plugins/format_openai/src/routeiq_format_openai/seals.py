"""Reasoning state of other providers, carried through an OpenAI client in `reasoning_details`.

A value is `rq1.<family>.<base64url(deflate(JSON))>`. It comes back from the client: it is data, never trusted.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk.stream import Reasoning, Seal

from .chunks import UNREADABLE, dump

PREFIX = "rq1."
MAX_BYTES = 4 * 1024 * 1024


class Sealed(Struct, omit_defaults=True):
    value: str = ""
    model: str = ""
    form: str = "thinking"
    text: str = ""
    """The visible text, which the client may have lost or changed."""
    item_id: str | None = None
    native: Raw = Raw(b"null")


_decoder = msgspec.json.Decoder(Sealed)


def wrap(block: Reasoning, family: str) -> str:
    seal = block.seal or Seal("", family)
    sealed = Sealed(seal.value, seal.model, block.form, block.text, block.item_id, Raw(block.native or b"null"))
    packed = zlib.compress(dump(sealed), 6)
    return f"{PREFIX}{family}.{urlsafe_b64encode(packed).decode().rstrip('=')}"


def unwrap(value: str) -> Reasoning | None:
    """The block that was wrapped, None for what does not decode."""
    family, _, packed = value.removeprefix(PREFIX).partition(".")
    try:
        data = urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        sealed = _decoder.decode(zlib.decompressobj().decompress(data, MAX_BYTES))
    except (zlib.error, *UNREADABLE):
        return None
    native = b"" if bytes(sealed.native) == b"null" else bytes(sealed.native)
    seal = Seal(sealed.value, family, sealed.model)
    return Reasoning(form=sealed.form, text=sealed.text, seal=seal, item_id=sealed.item_id, native=native, origin=family)
