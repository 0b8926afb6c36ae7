"""Whether everything that speaks of one answer says the same: the client's bytes, the gateway's record, its headers and the wall."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from .conduct import Answer, Seen
from .run import PRICES

Record = dict[str, Any]
KEEPALIVE_S, RESET_S = 10.0, 0.03
"""A connection that breaks so soon may have been closed while it was idle: the HTTP client sends such a request once more."""


def disagreements(seen: Seen) -> Iterator[str]:
    for answer, record in zip(seen.answers, seen.records, strict=True):
        yield from _outcome(answer, record)
        yield from _bytes(answer, record)
        yield from _usage(answer, record)
        yield from _cost(answer, record)
        yield from _headers(answer, record)
    told = sum("ould not connect" not in str(each["error"]) for record in seen.records for each in record["attempts"])
    again = sum(each.closed_s is not None and each.closed_s - each.at_s < RESET_S for each in seen.asked)
    if not told <= len(seen.asked) <= told + again:
        yield f"the records tell of {told} attempts, the wall of {len(seen.asked)}"


def _outcome(answer: Answer, record: Record) -> Iterator[str]:
    if answer.is_whole != (record["status"] == "complete"):
        yield f"the client's answer is {'whole' if answer.is_whole else 'not whole'}, the record says {record['status']}"
    if answer.error is not None and not record["error"]:
        yield "the client got an error, the record has none"


def _bytes(answer: Answer, record: Record) -> Iterator[str]:
    """Keepalives, which are sent in long waits, count for nobody."""
    if record["bytes"] != len(answer.body) and answer.took_s < KEEPALIVE_S:
        yield f"the client got {len(answer.body)} bytes, the record says {record['bytes']}"


def _usage(answer: Answer, record: Record) -> Iterator[str]:
    if answer.usage is not None and record["usage"] != list(answer.usage):
        yield f"the client was told that {answer.usage} tokens were used, the record says {record['usage']}"
    if answer.is_whole and not record["usage"]:
        yield "a whole answer, and no usage in its record"


def _cost(answer: Answer, record: Record) -> Iterator[str]:
    """Of the attempt that answered, at its own price; where one broke off and others were to go on from it, of all that used something."""
    paid = [each for each in record["attempts"] if each["usage"] and (rescued(record) or each["outcome"] == "complete")]
    if paid:
        due = sum((price(each["model"], each["usage"]) for each in paid), Decimal())
        if record["cost"] is None or Decimal(record["cost"]) != due:
            yield f"the record says that it cost {record['cost']}, the attempts {due}"
    elif answer.is_whole:
        yield "a whole answer, and no attempt with a usage"
    if rescued(record) and not record["marked"]:
        yield "the cost of a rescue is not marked as an estimate"
    told = answer.headers.get("x-routeiq-cost")
    if told is not None and told != record["cost"]:
        yield f"the header says that it cost {told}, the record {record['cost']}"


def _headers(answer: Answer, record: Record) -> Iterator[str]:
    """Headers leave at the first content: what a rescue adds is in the record alone."""
    found = {name: answer.headers.get(f"x-routeiq-{name}") for name in ("model", "deployment", "attempts")}
    missing = [name for name, value in found.items() if value is None]
    if missing:
        yield f"headers are missing: {missing}"
        return
    attempts = int(found["attempts"] or 0)
    if attempts > len(record["attempts"]) or (answer.is_whole and not rescued(record) and attempts != len(record["attempts"])):
        yield f"the header tells of {attempts} attempts, the record of {len(record['attempts'])}"
    if not rescued(record) and found["deployment"] != record["deployment"]:
        yield f"the header names the deployment {found['deployment']}, the record {record['deployment']}"


def rescued(record: Record) -> bool:
    """An attempt that failed had already told the client something."""
    return any(each["begun"] and each["outcome"] != "complete" for each in record["attempts"])


def price(model: str, usage: list[int]) -> Decimal:
    paid = PRICES[model.removesuffix("-real")]
    return sum((Decimal(str(each)) * tokens for each, tokens in zip(paid, usage, strict=True)), Decimal())
