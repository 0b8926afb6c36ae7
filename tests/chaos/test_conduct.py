"""The checks themselves: each passes for good conduct and fails for a log that breaks its rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve

from . import agreement, conduct, table
from .conduct import TEXT, TOKENS, Answer, Asked, Seen

PART = "".join(TOKENS[:40])
STREAM = {"content-type": "text/event-stream"}
WHOLE = Answer(200, STREAM, b"data: ...", 0.0, 1.0, text=TEXT, ended=True, model="backup-real", usage=(11, 60))
BROKEN = evolve(WHOLE, text=PART, ended=False, error={"message": "The connection broke."}, usage=None)
REFUSED = Answer(400, {}, b"{}", 0.0, 1.0, error={"message": table.REASONS["policy"]})


def log(primary: tuple[float, ...] = (), backup: tuple[float, ...] = (), *answers: Answer, closed_s: float | None = None) -> Seen:
    asked = [Asked("primary", at_s, closed_s) for at_s in primary] + [Asked("backup", at_s) for at_s in backup]
    return Seen(tuple(sorted(asked, key=lambda each: each.at_s)), answers)


def by(role: str, answer: Answer = WHOLE) -> Answer:
    return evolve(answer, model=f"{role}-real")


GOOD: dict[str, Iterator[str]] = {
    "429 once, waited for": table.waited(log((0, 2.05), (), by("primary"))),
    "429 always": table.limited(log((0, 0.6, 1.9), (3.1,), WHOLE)),
    "500 once": table.retried(log((0, 0.4), (), by("primary"))),
    "503 always": table.down(log((0, 0.5, 1.4), (1.5,), WHOLE)),
    "silence": table.left_alone(3)(log((0,), (3,), evolve(WHOLE, ended_s=3.2), closed_s=3.0)),
    "cut and rescued": table.broken(log((0,), (0.2,), WHOLE)),
    "cut and said so": table.broken(log((0,), (0.2,), BROKEN)),
    "stalled": table.stalled(log((0,), (3.1,), evolve(BROKEN, ended_s=3.1), closed_s=3.0)),
    "no end": table.completed(log((0,), (), by("primary"))),
    "context": table.larger(log((0,), (0.1,), WHOLE)),
    "policy": table.denied(log((0,), (), REFUSED)),
    "prefill refused": table.restarted(log((0,), (0.2, 0.3), WHOLE)),
    "jitter": conduct.jittered([0.5, 0.71, 0.43]),
    "outage": conduct.outage(
        log((0, 0.5, 6, 12, 61), (), by("backup"), by("primary", evolve(WHOLE, sent_s=61))), 60, cooldown_s=15, recovery_s=15, most_asked=9
    ),
}
BAD: dict[str, tuple[Iterator[str], str]] = {
    "429 once, asked too early": (table.waited(log((0, 1.7), (), by("primary"))), "after 1.700 s"),
    "429 once, left at once": (table.waited(log((0,), (0.1,), WHOLE)), "asked 1 times, not 2"),
    "429 always, hammered": (table.limited(log((0, 0.5, 1.0, 1.5, 2.0), (2.5,), WHOLE)), "more than 4 attempts inside 3 s"),
    "429 always, too often": (table.limited(log((0, 2, 4, 6, 8, 10), (12,), WHOLE)), "7 attempts, more than 6"),
    "429 always, no waits": (table.limited(log((0, 0.01, 0.02), (0.5,), WHOLE)), "no backing off"),
    "429 for long, waited out": (table.left(log((0, 60), (), by("primary"))), "asked 2 times, not 1"),
    "500 once, straight to the fallback": (table.retried(log((0,), (0.1,), WHOLE)), "the primary was asked 1 times"),
    "503 always, never retried": (table.down(log((0,), (0.1,), WHOLE)), "not asked again"),
    "503 always, given up": (table.down(log((0, 0.5, 1.5), (), evolve(REFUSED, status=503))), "no whole answer"),
    "silence, asked again": (table.left_alone(3)(log((0, 3), (6,), WHOLE, closed_s=7.0)), "asked 2 times, not 1"),
    "silence, waited out": (table.left_alone(1)(log((0,), (9,), evolve(WHOLE, ended_s=9), closed_s=1.0)), "waited 9.0 s"),
    "silence, held": (table.left_alone(3)(log((0,), (3,), WHOLE)), "still open"),
    "cut, said to be whole": (table.broken(log((0,), (), evolve(BROKEN, error=None, ended=True))), "another text"),
    "cut, just ended": (table.broken(log((0,), (), evolve(BROKEN, error=None))), "no whole answer"),
    "cut, error and end": (table.broken(log((0,), (), evolve(BROKEN, ended=True))), "says that it is complete"),
    "cut, 40 + 60 tokens": (table.broken(log((0,), (0.1,), evolve(WHOLE, text=PART + TEXT))), "another text"),
    "cut, 40 + 60 tokens and an error": (table.broken(log((0,), (0.1,), evolve(BROKEN, text=PART + TEXT))), "no beginning of the answer"),
    "cut, joined with the usage of the tail": (table.broken(log((0,), (0.1,), evolve(WHOLE, usage=(11, 20)))), "the joined answer"),
    "cut, connection dropped": (table.broken(log((0,), (), evolve(BROKEN, cut=True))), "broke instead of ending"),
    "cut, an error that says nothing": (table.broken(log((0,), (), evolve(BROKEN, error={"message": ""}))), "says nothing"),
    "stalled, wedged": (table.stalled(log((0,), (), BROKEN)), "still open"),
    "broken rule": (conduct.served(log((), (), evolve(WHOLE, broken_rules=("two ends",)))), "two ends"),
    "no end, no usage": (table.completed(log((0,), (), by("primary", evolve(WHOLE, usage=None)))), "no usage"),
    "context, sent again": (table.larger(log((0, 0.1), (0.2,), WHOLE)), "asked 2 times"),
    "context, hesitated": (table.larger(log((0,), (1.2,), WHOLE)), "only 1.200 s after"),
    "policy, rerouted": (table.denied(log((0,), (0.1,), WHOLE)), "status 200, not 400"),
    "policy, reason lost": (table.denied(log((0,), (), evolve(REFUSED, error={"message": "Bad request."}))), "provider's reason"),
    "prefill refused, told": (table.given_up(log((0,), (0.1,), evolve(BROKEN, body=b"does not support prefill"))), "'prefill'"),
    "prefill refused, not restarted": (table.restarted(log((0,), (0.1,), BROKEN)), "no whole answer"),
    "no jitter": (conduct.jittered([0.5, 0.501, 0.5]), "without jitter"),
    "outage, long cooldown": (conduct.outage(log((0, 30, 61), (), WHOLE), 60, 15, 15, 9), "for 30.00 s at first"),
    "outage, never probed": (conduct.outage(log((0,), (), WHOLE), 60, 15, 15, 9), "for 60.00 s at first"),
    "outage, hammered": (conduct.outage(log(tuple(range(0, 70, 4)), (), by("primary")), 60, 15, 15, 9), "asked 15 times"),
    "outage, never back": (conduct.outage(log((0, 5), (), WHOLE), 60, 15, 15, 9), "not used again"),
    "outage, late": (conduct.outage(log((0, 5, 80), (), by("primary", evolve(WHOLE, sent_s=80))), 60, 15, 15, 9), "20.00 s after"),
}
ATTEMPTS = [
    {"model": "primary-real", "outcome": "error", "begun": False, "usage": None, "cost": None, "error": "The wall is out of order."},
    {"model": "backup-real", "outcome": "complete", "begun": True, "usage": [11, 60], "cost": "0.000333", "error": None},
]
RECORD: dict[str, Any] = {
    "status": "complete", "path": "raw", "dropped": 0, "bytes": len(WHOLE.body), "error": None, "usage": [11, 60], "cost": "0.000333",
    "marked": False, "model": "backup-real", "deployment": "d2", "attempts": ATTEMPTS,
}  # fmt: skip
TOLD = STREAM | {f"x-routeiq-{name}": value for name, value in (("model", "m"), ("deployment", "d2"), ("attempts", "2"))}
AGREED = evolve(log((0,), (1,), evolve(WHOLE, headers=TOLD)), records=(RECORD,))


@pytest.mark.parametrize("name", GOOD)
def test_good_conduct_passes(name: str) -> None:
    assert list(GOOD[name]) == []


@pytest.mark.parametrize("name", BAD)
def test_bad_conduct_is_named(name: str) -> None:
    found, expected = BAD[name]
    assert any(expected in problem for problem in found)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"status": "truncated"}, "the record says truncated"),
        ({"bytes": 1}, "the record says 1"),
        ({"usage": [11, 59]}, "tokens were used"),
        ({"usage": None}, "no usage in its record"),
        ({"cost": "0.000344"}, "the attempts 0.000333"),
        ({"attempts": ATTEMPTS[1:]}, "the header tells of 2 attempts"),
        ({"deployment": "d1"}, "names the deployment d2"),
        ({"attempts": [ATTEMPTS[0] | {"begun": True}, ATTEMPTS[1]]}, "not marked"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_a_record_that_differs_is_named(changed: dict[str, Any], expected: str) -> None:
    assert list(agreement.disagreements(AGREED)) == []
    found = list(agreement.disagreements(evolve(AGREED, records=(RECORD | changed,))))
    assert any(expected in problem for problem in found), found


def test_the_accounts_of_a_fallback_are_its_own() -> None:
    assert list(table.accounted(AGREED)) == []
    billed = [ATTEMPTS[0] | {"usage": [11, 1]}, ATTEMPTS[1]]
    found = list(table.accounted(evolve(AGREED, records=(RECORD | {"attempts": billed, "usage": [11, 61]},))))
    assert len(found) == 2, found


def test_what_never_arrived_is_not_missed_at_the_wall() -> None:
    lost = [ATTEMPTS[0] | {"error": "Could not connect to the provider."}, *ATTEMPTS[1:]]
    seen = evolve(AGREED, records=(RECORD | {"attempts": lost},))
    assert list(agreement.disagreements(evolve(seen, asked=seen.asked[1:]))) == []
    assert len(list(agreement.disagreements(seen))) == 1
