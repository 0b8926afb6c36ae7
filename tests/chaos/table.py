"""The sixteen faults, and those of the network: what the deployments do, and what the gateway must and must not do about it.

Times are those of real life, times `SCALE`: the long ones (20 s to a first token, an outage of a minute) are cut to a tenth, and the
gateway's limits with them. With `CHAOS_FULL=1` nothing is cut and the configuration is a plain one for every fault.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain

from attrs import frozen

from . import faults
from .conduct import (
    TEXT,
    TOKENS,
    Check,
    Seen,
    at_once,
    backed_off,
    bounded,
    count,
    freed,
    gap,
    honest,
    never_says,
    outage,
    refused,
    served,
    within,
)
from .faults import KEPT, OTHER, REASONS, down_for, healthy, once, refuses, refuses_prefill
from .wall import Behaviour

SCALE = 1.0 if os.environ.get("CHAOS_FULL") else 0.1
TIMEOUT_S, FIRST_S, IDLE_S = 30.0, 10.0, 30.0
RETRY_AFTER_S, RETRY_S = 2, 2.5
OUTAGE_S, FIRST_COOLDOWN_S, RECOVERY_S = 60.0, 15.0, 15.0


@frozen
class Case:
    """One scenario of a fault. `config` names the gateway that it runs behind, `requests` come `every_s` apart."""

    primary: Behaviour
    check: Check
    name: str = ""
    backup: Behaviour = healthy
    config: str = "plain"
    modes: tuple[str, ...] = ("stream", "whole")
    requests: int = 1
    every_s: float = 0.0
    address: str = ""
    """Of the primary, where it is not the wall's: {untrusted} stands for a server with a certificate that nobody trusts."""


@frozen
class Row:
    number: int
    fault: str
    cases: tuple[Case, ...]


def checks(*found: Iterator[str]) -> Iterator[str]:
    return chain(*found)


def retried(seen: Seen) -> Iterator[str]:
    return checks(count(seen, "primary", 2), count(seen, "backup", 0), served(seen, "primary"))


def waited(seen: Seen) -> Iterator[str]:
    return checks(retried(seen), gap(seen, 0.9 * RETRY_AFTER_S))


def limited(seen: Seen) -> Iterator[str]:
    return checks(backed_off(seen), bounded(seen, burst=4), count(seen, "backup", 1), served(seen, "backup"))


def down(seen: Seen) -> Iterator[str]:
    return checks(backed_off(seen), bounded(seen), count(seen, "backup", 1), served(seen, "backup"))


def left_alone(limit_s: float) -> Check:
    """Asked once, hung up on, and answered by the backup."""

    def check(seen: Seen) -> Iterator[str]:
        times = checks(freed(seen, limit_s), within(seen, limit_s))
        return checks(count(seen, "primary", 1), count(seen, "backup", 1), served(seen, "backup"), times)

    return check


def silence(seen: Seen) -> Iterator[str]:
    return left_alone(TIMEOUT_S * SCALE)(seen)


def unhurried(seen: Seen) -> Iterator[str]:
    return checks(count(seen, "primary", 1), count(seen, "backup", 0), served(seen, "primary"))


def left(seen: Seen) -> Iterator[str]:
    return checks(count(seen, "primary", 1), count(seen, "backup", 1), served(seen, "backup"))


def broken(seen: Seen) -> Iterator[str]:
    """Whole answers have nothing to be honest about: the client has none of it yet."""
    whole = [answer for answer in seen.answers if not answer.headers.get("content-type", "").startswith("text/event-stream")]
    return checks(honest(seen), served(Seen(seen.asked, tuple(whole))), bounded(seen), joined(seen))


def joined(seen: Seen) -> Iterator[str]:
    """An estimate of the delivered part goes into it."""
    for answer in seen.answers:
        if answer.is_whole and answer.usage and not (0 < answer.usage[0] < 20 and 50 < answer.usage[1] < 75):
            yield f"{answer.usage} is no usage of the joined answer"


def untold(seen: Seen) -> Iterator[str]:
    """Nobody can go on inside a tool call."""
    yield from honest(seen)
    yield from ("a cut tool call, and no error" for answer in seen.answers if answer.error is None)


def continued(seen: Seen) -> Iterator[str]:
    """Who goes on from a prefill may go on in its own way."""
    return checks(honest(seen, (TEXT, TEXT[: len("".join(TOKENS[:KEPT]))] + "".join(OTHER[KEPT:]))), bounded(seen))


def reset(seen: Seen) -> Iterator[str]:
    """The HTTP client may send each attempt once more, in place of a connection that was closed while it was idle."""
    return checks(backed_off(seen), bounded(seen, most=7), count(seen, "backup", 1), served(seen, "backup"))


def stalled(seen: Seen) -> Iterator[str]:
    return checks(broken(seen), freed(seen, IDLE_S * SCALE), within(seen, 1.5 * IDLE_S * SCALE))


def skipped(seen: Seen) -> Iterator[str]:
    """The event is dropped and counted; a whole answer that is no JSON is one more failed attempt."""
    yield from served(seen)
    if not seen.records:
        return
    if seen.records[0]["path"] != "none" and seen.answers[0].headers.get("content-type", "").startswith("text/event-stream"):
        yield from unhurried(seen)
        if seen.records[0]["dropped"] != 1:
            yield f"{seen.records[0]['dropped']} events are counted as dropped, not 1"


def completed(seen: Seen) -> Iterator[str]:
    yield from checks(unhurried(seen), within(seen, 0.0))
    yield from ("the answer has no usage" for answer in seen.answers if answer.usage is None)


def larger(seen: Seen) -> Iterator[str]:
    return checks(count(seen, "primary", 1), count(seen, "backup", 1), at_once(seen), served(seen, "backup"))


def denied(seen: Seen) -> Iterator[str]:
    return checks(count(seen, "primary", 1), count(seen, "backup", 0), refused(seen, 400, REASONS["policy"]))


def restarted(seen: Seen) -> Iterator[str]:
    return checks(served(seen), never_says(seen, b"prefill"), bounded(seen))


def given_up(seen: Seen) -> Iterator[str]:
    return checks(honest(seen), never_says(seen, b"prefill"), bounded(seen))


def flapping(seen: Seen) -> Iterator[str]:
    """Retries wait as long as ever: they may come between two probes."""
    cooldown_s = FIRST_COOLDOWN_S * SCALE + (RETRY_S if SCALE < 1 else 0.0)
    return outage(seen, OUTAGE_S * SCALE, cooldown_s, RECOVERY_S * SCALE, most_asked=15)


def accounted(seen: Seen) -> Iterator[str]:
    """The fallback's model and usage, and a bill for its attempt alone."""
    yield from checks(served(seen, "backup"), bounded(seen))
    for record, answer in zip(seen.records, seen.answers, strict=True):
        billed = [each["model"] for each in record["attempts"] if each["usage"] or each["cost"]]
        if record["model"] != "backup-real" or billed not in (["backup-real"], []):
            yield f"the record is of {record['model']}, and bills {billed}"
        if record["usage"] != list(answer.usage or ()):
            yield f"the record says that {record['usage']} were used, the answer {answer.usage}"


def unreachable(seen: Seen) -> Iterator[str]:
    """No request arrives at the primary."""
    return checks(count(seen, "primary", 0), count(seen, "backup", 1), served(seen, "backup"))


def vanished(seen: Seen) -> Iterator[str]:
    limits = within(seen, TIMEOUT_S * SCALE)
    return checks(count(seen, "primary", 2), count(seen, "backup", 1), served(seen), limits)


def rerouted(seen: Seen) -> Iterator[str]:
    return checks(bounded(seen), served(seen, "backup"))


def storm(seen: Seen) -> Iterator[str]:
    """Retries do not multiply it: fewer than one for each request."""
    asked = len(seen.of("primary"))
    if asked > 2 * len(seen.answers):
        yield f"{asked} requests at a primary that refuses {len(seen.answers)}"
    yield from checks(count(seen, "backup", len(seen.answers)), served(seen, "backup"), within(seen, FIRST_S))


def brisk(seen: Seen) -> Iterator[str]:
    return checks(count(seen, "primary", len(seen.answers)), count(seen, "backup", 0), served(seen, "primary"), within(seen, 0.0))


CONTROL = Row(0, "no fault", (Case(healthy, unhurried),))
TABLE = (
    Row(
        1,
        "429 with Retry-After, once",
        (
            Case(once(refuses(429, "rate", retry_after=str(RETRY_AFTER_S))), waited),
            Case(once(refuses(429, "rate", retry_after="60")), left, "long"),
        ),
    ),
    Row(2, "429 persistent, without", (Case(refuses(429, "rate"), limited),)),
    Row(3, "500 once", (Case(once(refuses(500)), retried), Case(once(refuses(500, x_should_retry="false")), left, "told-not-to"))),
    Row(4, "503 persistent", (Case(refuses(503), down),)),
    Row(5, "TCP reset before headers", (Case(once(faults.resets), retried), Case(faults.resets, reset, "always"))),
    Row(6, "no answer at all", (Case(faults.silent, silence, config="hasty"),)),
    Row(
        7,
        "first token after 20 s",
        (
            Case(faults.late(2 * FIRST_S * SCALE), left_alone(FIRST_S * SCALE), config="hasty", modes=("stream",)),
            Case(faults.late(2 * FIRST_S * SCALE, thinking=True), unhurried, "reasoning", config="hasty", modes=("stream",)),
        ),
    ),
    Row(
        8,
        "stream cut after 40 of 60 tokens",
        (
            Case(faults.cut, broken),
            Case(faults.cut, broken, "anew", backup=faults.anew, modes=("stream",)),
            Case(faults.cut_in_tool, untold, "tool", modes=("stream",)),
            Case(faults.cut, continued, "differs", backup=faults.other, modes=("stream",)),
        ),
    ),
    Row(9, "stream stalls", (Case(faults.stalls, stalled, config="hasty"),)),
    Row(10, "malformed event in mid-stream", (Case(once(faults.garbled), skipped),)),
    Row(11, "ends without [DONE]", (Case(faults.endless, completed),)),
    Row(12, "400 context length", (Case(refuses(400, "too long"), larger), Case(refuses(400, "context"), larger, "no-code"))),
    Row(13, "400 content policy", (Case(refuses(400, "policy"), denied),)),
    Row(
        14,
        "cut, and the fallback refuses prefill",
        (
            Case(faults.cut, restarted, backup=refuses_prefill()),
            Case(faults.cut, given_up, "differs", backup=refuses_prefill(faults.other), modes=("stream",)),
        ),
    ),
    Row(15, "60 s outage, twenty requests", (Case(down_for(OUTAGE_S * SCALE), flapping, config="flapping", requests=20, every_s=4),)),
    Row(16, "503, fallback answers", (Case(refuses(503), accounted),)),
)
BOMB = Row(20, "gzip bomb", (Case(faults.explodes, rerouted),))
LORIS = Row(24, "slow-loris clients", (Case(healthy, brisk, config="loris", requests=20, every_s=4),))
NETWORK = (
    Row(17, "TLS failure", (Case(healthy, unreachable, address="https://{untrusted}"),)),
    Row(18, "DNS failure", (Case(healthy, unreachable, address="http://nobody.invalid"),)),
    Row(19, "half-open connection", (Case(faults.vanishes, vanished, config="hasty", requests=2, every_s=5),)),
    BOMB,
    Row(21, "1xx responses", (Case(faults.hints, unhurried),)),
    Row(22, "429 storm", (Case(refuses(429, "rate"), storm, requests=30),)),
    Row(
        23,
        "clock jumps",
        (
            Case(once(refuses(429, "rate", retry_after=str(RETRY_AFTER_S))), waited, config="jumping"),
            Case(faults.silent, silence, "silent", config="jumping"),
            Case(down_for(OUTAGE_S * SCALE), flapping, "outage", config="jumping", requests=20, every_s=4),
        ),
    ),
    LORIS,
    Row(25, "401", (Case(refuses(401), left),)),
)
