"""Lists that the workers tell each other, in pages: what one of them may say at a time is limited."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from routeiq_sdk.services import Peers

PAGE_BYTES = 48 * 1024
MAX_PAGES = 200


def serve(peers: Peers, worker: str, topic: str, items: Callable[[], Sequence[Any]]) -> None:
    """Answer for `worker` from where the asker stands: `starts` says how much of whose list it has."""

    def answer(starts: dict[str, int]) -> dict[str, Any]:
        found, page, size = items(), [], 0
        start = starts.get(worker, 0)
        for item in found[start:]:
            size += len(json.dumps(item))
            if page and size > PAGE_BYTES:
                break
            page.append(item)
        return {"worker": worker, "items": page, "next": start + len(page), "last": start + len(page) >= len(found)}

    peers.answer(topic, answer)


async def gather(peers: Peers, topic: str) -> list[list[Any]]:
    """The list of each worker that answers."""
    lists: dict[str, list[Any]] = {}
    starts: dict[str, int] = {}
    for _ in range(MAX_PAGES):
        answers = await peers.ask(topic, starts)
        for answer in answers:
            lists.setdefault(answer["worker"], []).extend(answer["items"])
            starts[answer["worker"]] = answer["next"]
        if all(answer["last"] for answer in answers):
            break
    return [*lists.values()]
