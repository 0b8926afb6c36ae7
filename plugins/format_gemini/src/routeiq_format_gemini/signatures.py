"""Thought signatures: bytes in base64, which clients send back in either alphabet, with or without padding.

A value inside is the provider's own, or the wrapped reasoning of another family (`rq1.…`) that this format's clients carry.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode

from routeiq_sdk.crossing import SEAL_PREFIX, unwrap, wrap
from routeiq_sdk.stream import Reasoning, Seal

from .wire import FAMILY, NAME

STAND_IN = "skip_thought_signature_validator"
"""What the API documents for calls of a history that another model made."""
STAND_INS = frozenset((STAND_IN, "context_engineering_is_the_way_to_go"))
FOREIGN_MARK = b'"cnExL'
"""How every wrapped value begins, in base64: a cheap sign in a body's bytes."""
OWN = frozenset((FAMILY, NAME))
"""The names that this family goes by: a block's origin is the format."""
_STANDARD = str.maketrans("-_", "+/")


def standard(value: str) -> str:
    """Base64 in the standard alphabet with its padding; what is none of this stays."""
    plain = value.translate(_STANDARD).rstrip("=")
    return plain + "=" * (-len(plain) % 4)


def read(value: str | None) -> Seal | Reasoning | None:
    """A seal of this family, another family's block, or nothing."""
    if not value or value in STAND_INS:
        return None
    normal = standard(value)
    if normal.startswith("cnExL"):
        try:
            inner = b64decode(normal, validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            return None
        return unwrap(inner) if inner.startswith(SEAL_PREFIX) else None
    return Seal(normal, FAMILY)


def carried(block: Reasoning, seal: Seal) -> str:
    """The signature that carries a block's seal through a client."""
    if seal.family in OWN:
        return seal.value
    return b64encode(wrap(block, seal.family).encode()).decode()


def own(seal: Seal | None) -> str | None:
    """The value, if it is this family's."""
    return seal.value if seal is not None and seal.family in OWN and seal.value else None
