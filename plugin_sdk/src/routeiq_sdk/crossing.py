"""What every codec needs when a conversation crosses from one wire format to another: tool names and call ids that the target
takes, reasoning state of other providers on its way through a client, and effort against token budgets.

All of it is pure: what goes out one way comes back the other, and nothing is stored.
"""

from __future__ import annotations

import hashlib
import re
import string
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct, structs

from .errors import ClientError
from .request import Content
from .stream import BlockDelta, Event, Reasoning, Seal

ALIAS = re.compile(r".*_[0-9a-f]{6}", re.DOTALL)
SHORTEST_CUT = 57
"""What the strictest format leaves of a name before its hash; a shorter one was not cut."""
UNNAMED = "unnamed"
"""The name that clients are given of a call that came without one: they answer that there is no such tool, and the model learns it."""
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


class Names(Struct, frozen=True):
    """The tool names that a format takes: `valid` as a whole, else `invalid` characters become `_`."""

    valid: re.Pattern[str]
    invalid: re.Pattern[str]
    limit: int

    def alias(self, name: str, namespace: str = "") -> str:
        """The name itself where it is valid and has no namespace; else `namespace__name` cleaned, cut, and told apart by a hash."""
        if not namespace and self.valid.fullmatch(name):
            return name
        return f"{self.invalid.sub('_', _whole(name, namespace))[: self.limit - 7]}_{_digest(name, namespace)}"


def original(name: str, tools: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """(namespace, name) of the client's tool that a provider called by the alias of any format. `tools` are such pairs."""
    known = list(tools)
    if ("", name) in known or not ALIAS.fullmatch(name):
        return "", name
    head = name[:-7]
    shape = re.compile("".join(["." if char == "_" else re.escape(char) for char in head]), re.DOTALL)
    fits = shape.match if len(head) >= SHORTEST_CUT else shape.fullmatch
    likely = [each for each in known if fits(_whole(each[1], each[0]))]  # a hash of each would take seconds for many
    return next((each for each in likely if _digest(each[1], each[0]) == name[-6:]), ("", name))


def _whole(name: str, namespace: str) -> str:
    return f"{namespace}__{name}" if namespace else name


def _digest(name: str, namespace: str) -> str:
    whole = f"{namespace}\0{name}" if namespace else name
    return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:6]


def short_id(given: str, prefix: str, limit: int, valid: re.Pattern[str]) -> str:
    """A call id that the target takes: the given one, else `prefix` and 22 base-62 digits of its hash."""
    if 0 < len(given) <= limit and valid.fullmatch(given):
        return given
    number = int.from_bytes(hashlib.sha256(given.encode("utf-8", "replace")).digest(), "big")
    digits = ""
    for _ in range(22):
        number, digit = divmod(number, 62)
        digits += _DIGITS[digit]
    return prefix + digits


SEAL_PREFIX = "rq1."
MAX_SEAL_BYTES = 4 * 1024 * 1024
MAX_INFLATION, LEAST_ROOM = 64, 1024
"""A request of a megabyte must not become gigabytes of seals: what a seal may hold depends on its own size."""


class _Sealed(Struct, omit_defaults=True):
    value: str = ""
    model: str = ""
    form: str = "thinking"
    text: str = ""
    """The visible text, which the client may have lost or changed."""
    item_id: str | None = None
    native: Raw = Raw(b"null")


_sealed = msgspec.json.Decoder(_Sealed)
_fields = msgspec.json.Decoder(dict[str, Raw])
REASONING = frozenset(("thinking", "redacted_thinking", "compaction", "reasoning"))
THOUGHTS = frozenset(("thought", "thoughtSignature"))


def wrap(block: Reasoning, family: str) -> str:
    """Another provider's reasoning as one opaque value: `rq1.<family>.<base64url(deflate(JSON))>`."""
    seal = block.seal or Seal("", family)
    sealed = _Sealed(seal.value, seal.model, block.form, block.text, block.item_id, Raw(block.native or b"null"))
    plain = msgspec.json.encode(sealed)
    packed = zlib.compress(plain, 6)
    if len(plain) > _room(packed):
        packed = zlib.compress(plain, 0)
    return f"{SEAL_PREFIX}{family}.{urlsafe_b64encode(packed).decode().rstrip('=')}"


def _room(packed: bytes) -> int:
    return min(MAX_SEAL_BYTES, LEAST_ROOM + MAX_INFLATION * len(packed))


def unwrap(value: str) -> Reasoning | None:
    """The block that was wrapped; None for what does not decode. The value comes from a client: it is data, never trusted."""
    family, _, packed = value.removeprefix(SEAL_PREFIX).partition(".")
    try:
        data = urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        sealed = _sealed.decode(zlib.decompressobj().decompress(data, _room(data)))
    except (zlib.error, ValueError, msgspec.MsgspecError, RecursionError):
        return None
    native = bytes(sealed.native) if _is_reasoning(sealed.native) else b""
    seal = Seal(sealed.value, family, sealed.model)
    return Reasoning(form=sealed.form, text=sealed.text, seal=seal, item_id=sealed.item_id, native=native, origin=family)


def _is_reasoning(native: Raw) -> bool:
    """Whether a block that came back is what may be wrapped: a client could have put a message there, which nobody would judge."""
    try:
        fields = _fields.decode(native)
        kind = msgspec.json.decode(fields["type"], type=str) if "type" in fields else ""
    except (msgspec.MsgspecError, RecursionError):
        return False
    return kind in REASONING or kind.startswith("reasoning.") or (not kind and bool(fields.keys() & THOUGHTS))


EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
BUDGETS = {"minimal": 1024, "low": 4096, "medium": 10240, "high": 24576, "xhigh": 32768, "max": 32768}
"""Tokens of reasoning that an effort stands for at targets that take a budget."""
_STEPS = ((1024, "minimal"), (4096, "low"), (16384, "medium"), (32767, "high"))


def effort_of(budget_tokens: int) -> str:
    return next((effort for most, effort in _STEPS if budget_tokens <= most), "xhigh")


def user_id(given: str, limit: int) -> str:
    """An end user's id that fits the target: itself, or its hash."""
    return given if len(given) <= limit else hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()


class Mender:
    """UTF-16 surrogate pairs that a provider cut between two deltas: the first half waits for the second, so that every delta is
    valid Unicode. `on` once the stream had a lone surrogate; `held` are first halves by choice, block and field."""

    __slots__ = ("held", "on")

    def __init__(self) -> None:
        self.on = False
        self.held: dict[tuple[int, int, str], str] = {}

    def mend(self, events: list[Event]) -> list[Event]:
        return [self._mended(event) if isinstance(event, BlockDelta) else event for event in events]

    def _mended(self, event: BlockDelta) -> BlockDelta:
        key = (event.choice, event.index, event.field)
        value = self.held.pop(key, "") + event.value
        if value and "\ud800" <= value[-1] <= "\udbff":
            self.held[key], value = value[-1], value[:-1]
        whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return event if whole == event.value else structs.replace(event, value=whole)


REFUSED: Mapping[str, str] = MappingProxyType({
    "previous_response_id": "only the deployment that made the response can continue it; send the conversation",
    "item_reference": "only the deployment that made the item can look it up; send the item itself (most clients do with store: false)",
    "conversation": "only the deployment that holds the conversation can continue it; send the messages",
    "background": "this model's provider cannot answer in the background",
    "prompt": "this model's provider cannot read the stored prompt template",
    "prompts": "this model is asked with one prompt of text; send several in requests of their own, and no tokens",
    "cached_content": "this model's provider cannot read the cached content",
})  # fmt: skip
"""Names of `Content.named` without which an answer would be wrong rather than poorer, and why."""
_MEMBERS = {"item_reference": "input", "prompts": "prompt"}


def refuse(name: str, value: bytes) -> None:
    """Raises `ClientError` for a member in `REFUSED` that asks for something."""
    if name in REFUSED and value not in (b"null", b"false"):
        raise ClientError(f"{name}: {REFUSED[name]}", param=_MEMBERS.get(name, name))


def unsaid(content: Content) -> list[str]:
    """Report names of what a provider that knows nothing of `named` and `ext` does not get. Raises `ClientError` for `REFUSED`."""
    for name, value in content.named.items():
        refuse(name, value)
    return [*(f"{name};drop" for name in content.named), *(f"ext.{name};drop" for name in content.ext)]
