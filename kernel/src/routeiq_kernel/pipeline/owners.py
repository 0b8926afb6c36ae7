"""Which deployment made an id: files, batches or stored answers are known to the provider's account that made them alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec import DecodeError, Raw, json
from routeiq_sdk.wire import loads

from ..runtime.graph import Bound
from .context import Rc

DAYS_30_S = 30 * 86400.0
MOST_IDS = 16
ID = re.compile(r"[\w.:/-]{1,256}")
NOTHING = Raw(b"null")
_members = json.Decoder(dict[str, Raw])


async def own(rc: Rc, *answers: bytes) -> None:
    """Remember who made the ids in JSON answers, where there is more than one who could have."""
    store, bound = rc.graph.store, rc.bound
    if store is None or bound is None or rc.graph.models.accounts < 2:
        return
    for value in [each for answer in answers for each in read(answer, rc.surface.owns)]:
        await store.set(_key(value), bound.deployment.id.encode(), DAYS_30_S)


async def owner(rc: Rc, ids: Iterable[str]) -> Bound | None:
    store = rc.graph.store
    if store is None:
        return None
    for value in ids:
        found = await store.get(_key(value))
        if found is not None and found.decode() in rc.graph.models.by_id:
            return rc.graph.models.by_id[found.decode()]
    return None


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
