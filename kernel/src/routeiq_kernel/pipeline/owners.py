"""Who made an id: files, batches or stored answers are known to one account of a provider, and they are one key's. For every other
key they do not exist, like ids of which nothing is known; the master key may ask for all. Records end after 30 days, or when the
store that holds them is full."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from msgspec import DecodeError, Raw, json
from routeiq_sdk import ClientError, RouteIQError
from routeiq_sdk.wire import loads

from ..runtime.graph import Bound
from .context import Rc

DAYS_30_S = 30 * 86400.0
MOST_IDS = 16
ID = re.compile(r"[\w.:/-]{1,256}")
NOTHING = Raw(b"null")
log = logging.getLogger("routeiq.owners")
_members = json.Decoder(dict[str, Raw])
_record = json.Decoder(tuple[str, str])


def is_plain(rc: Rc) -> bool:
    """Only one account can have made an id, and the caller may have all of its."""
    return rc.graph.models.accounts < 2 and _sees_all(rc)


async def own(rc: Rc, *answers: bytes, by: str = "") -> None:
    """Remember who made the ids in JSON answers: the caller, or `by`, who made what the answer is about."""
    store, bound = rc.graph.store, rc.bound
    if store is None or bound is None or is_plain(rc):
        return
    assert rc.principal is not None
    record = json.encode((bound.deployment.id, by or rc.principal.id))
    with _done_already(rc, "an id stays unknown to the key that made it"):
        for value in [each for answer in answers for each in read(answer, rc.surface.owns)]:
            await store.compare_and_set(_key(value), None, record, DAYS_30_S)


async def owner(rc: Rc, ids: Mapping[str, bool]) -> tuple[Bound, str] | None:
    """The deployment that made one of these, and the principal. A word that may be no id (False) need not be known. Raises
    `ClientError` where one is not the caller's."""
    made = None
    assert rc.principal is not None
    for value, is_id in ids.items():
        raw = await _record_of(rc, _key(value))
        deployment, by = _record.decode(raw) if raw is not None else ("", "")
        if by != rc.principal.id and (is_id or by) and not _sees_all(rc):
            raise ClientError(f"There is no {value[:100]!r}.", kind="not_found", code="unknown_owner")
        if made is None and deployment in rc.graph.models.by_id:
            made = rc.graph.models.by_id[deployment], by
    return made


async def _record_of(rc: Rc, key: str) -> bytes | None:
    store = rc.graph.store
    try:
        raw = await store.get(key) if store is not None else None
    except RouteIQError as error:
        raise ClientError("Whose this is cannot be looked up now. Try again.", kind="overloaded", code="state_store") from error
    if raw is None and store is not None and store.scope == "worker":
        raw = await rc.graph.live.exchange.recall(key)
        if raw is not None:
            await store.compare_and_set(key, None, raw, DAYS_30_S)
    return raw


async def disown(rc: Rc, value: str) -> None:
    store = rc.graph.store
    if store is not None:
        with _done_already(rc, "a deleted id stays its maker's"):
            await store.delete(_key(value))
        if store.scope == "worker":
            rc.graph.live.exchange.forget(_key(value))


@contextmanager
def _done_already(rc: Rc, what: str) -> Iterator[None]:
    """What the provider did, the client hears of, whether the store can take it or not."""
    try:
        yield
    except RouteIQError as error:
        log.warning("%s: %s", what, error, extra={"request_id": rc.request_id})


def _sees_all(rc: Rc) -> bool:
    return rc.principal is not None and rc.principal.kind in ("master", "anonymous")


def _key(value: str) -> str:
    """Some ids are paths (`files/abc`) of which a URL holds the end."""
    return "owner:" + value.rpartition("/")[2]


def read(body: bytes, names: Iterable[str]) -> list[str]:
    """The ids that these members of a JSON object hold, singly or in lists; `a.b` is the member `b` of `a`."""
    found: list[str] = []
    top = _decoded(body)
    for name in names:
        first, *rest = name.split(".")
        value: Any = top.get(first, NOTHING)
        for part in rest:
            value = _decoded(value).get(part, NOTHING)
        try:
            value = loads(bytes(value))
        except ValueError:
            continue
        found += [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str) and ID.fullmatch(each)]
    return found[:MOST_IDS]


def _decoded(data: bytes | Raw) -> dict[str, Raw]:
    try:
        return _members.decode(data)
    except (DecodeError, RecursionError):
        return {}
