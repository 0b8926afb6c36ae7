"""How the gateway behaved, judged from what the wall was asked and what the clients got. Every check yields what was wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from attrs import frozen

TOKENS = ("tok00", *(f" tok{number:02d}" for number in range(1, 60)))
"""What every healthy deployment answers."""
TEXT = "".join(TOKENS)
SLACK_S = 5.0
"""What a loaded machine may add to any time."""


@frozen
class Asked:
    """One request that the wall got. Times are of the monotonic clock; `closed_s`: when the gateway hung up before it was answered."""

    role: str
    """primary or backup"""
    at_s: float
    closed_s: float | None = None
    prefilled: bool = False


@frozen
class Answer:
    """What one client got. `error` is the error object of its format, in the body or in the stream; `ended` says that the answer
    had its format's end and `cut` that the connection broke instead of ending."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent_s: float
    ended_s: float
    text: str = ""
    error: dict[str, Any] | None = None
    ended: bool = False
    cut: bool = False
    model: str = ""
    usage: tuple[int, int] | None = None
    broken_rules: tuple[str, ...] = ()
    """Of the format's streams."""

    @property
    def is_whole(self) -> bool:
        return self.status == 200 and self.error is None and self.ended and not self.cut

    @property
    def took_s(self) -> float:
        return self.ended_s - self.sent_s


@frozen
class Seen:
    asked: tuple[Asked, ...]
    """In the order of their times."""
    answers: tuple[Answer, ...]
    records: tuple[dict[str, Any], ...] = ()
    """The gateway's outcome of each answer."""

    def of(self, role: str) -> list[Asked]:
        return [each for each in self.asked if each.role == role]


Check = Callable[[Seen], Iterator[str]]


def listed(name: str, problems: Iterable[str]) -> list[str]:
    """Each problem once, and how often it was found."""
    return [f"{name}: {problem}" + (f" ({times} times)" if times > 1 else "") for problem, times in Counter(problems).items()]


def count(seen: Seen, role: str, least: int, most: int | None = None) -> Iterator[str]:
    most, found = least if most is None else most, len(seen.of(role))
    if not least <= found <= most:
        yield f"the {role} was asked {found} times, not {least}{f' to {most}' if most != least else ''}"


def gap(seen: Seen, least_s: float = 0.0, most_s: float = float("inf"), role: str = "primary") -> Iterator[str]:
    """Between the first two requests of one deployment."""
    times = [each.at_s for each in seen.of(role)]
    if len(times) < 2:
        yield f"the {role} was not asked again"
    elif not least_s <= times[1] - times[0] <= most_s:
        yield f"the {role} was asked again after {times[1] - times[0]:.3f} s, not {least_s:g} to {most_s:g} s"


def at_once(seen: Seen, most_s: float = 0.5) -> Iterator[str]:
    """The backup right after the primary."""
    if seen.of("primary") and seen.of("backup"):
        after = seen.of("backup")[0].at_s - seen.of("primary")[-1].at_s
        if after > most_s:
            yield f"the backup was asked only {after:.3f} s after the primary"


def backed_off(seen: Seen) -> Iterator[str]:
    """The same deployment again, after a wait."""
    times = [each.at_s for each in seen.of("primary")]
    if len(times) < 2:
        yield "the primary was not asked again"
    elif times[-1] - times[0] < 0.1 * (len(times) - 1):
        yield f"{len(times)} attempts on the primary within {times[-1] - times[0]:.3f} s: no backing off"


def bounded(seen: Seen, most: int = 6, burst: int | None = None, window_s: float = 3.0) -> Iterator[str]:
    """Attempts in all, and `burst` of them inside any window."""
    times = [each.at_s for each in seen.asked]
    if len(times) > most:
        yield f"{len(times)} attempts, more than {most}"
    for start in times:
        if burst is not None and sum(start <= each < start + window_s for each in times) > burst:
            yield f"more than {burst} attempts inside {window_s:g} s"
            return


def served(seen: Seen, by: str = "", texts: Collection[str] = (TEXT,)) -> Iterator[str]:
    """Every client got a whole answer, from that deployment."""
    for answer in seen.answers:
        if not answer.is_whole:
            yield f"no whole answer: status {answer.status}, {answer.error or 'no error'}, {len(answer.text)} characters"
        elif answer.text not in texts:
            yield f"the answer is another text: {answer.text[:40]!r}…{answer.text[-40:]!r}, {len(answer.text)} characters"
        elif by and answer.model != f"{by}-real":
            yield f"the answer is of {answer.model}, not of the {by}"
        yield from (f"broken rule of the format: {rule}" for rule in answer.broken_rules)


def honest(seen: Seen, texts: Collection[str] = (TEXT,)) -> Iterator[str]:
    """Every client got a whole answer, or a part of it that ends in a clear error."""
    for answer in seen.answers:
        if answer.error is None:
            yield from served(Seen(seen.asked, (answer,)), texts=texts)
            continue
        if answer.ended:
            yield "the stream says that it is complete, and has an error"
        if answer.cut:
            yield "the connection broke instead of ending"
        if not TEXT.startswith(answer.text):
            yield f"what came before the error is no beginning of the answer: …{answer.text[-60:]!r}"
        if not answer.error.get("message"):
            yield f"the error says nothing: {answer.error}"


def refused(seen: Seen, status: int, reason: str) -> Iterator[str]:
    """The provider's own reason reached the client."""
    for answer in seen.answers:
        if answer.status != status:
            yield f"status {answer.status}, not {status}"
        if answer.error is None or reason not in str(answer.error.get("message")):
            yield f"the error does not hold the provider's reason: {answer.error}"


def never_says(seen: Seen, word: bytes) -> Iterator[str]:
    if any(word in answer.body for answer in seen.answers):
        yield f"the client was told {word.decode()!r}"


def freed(seen: Seen, within_s: float, role: str = "primary") -> Iterator[str]:
    """The gateway hung up on the deployment that did not answer."""
    for each in seen.of(role):
        if each.closed_s is None:
            yield f"the connection to the {role} is still open"
        elif each.closed_s - each.at_s > within_s + SLACK_S:
            yield f"the connection to the {role} was held for {each.closed_s - each.at_s:.1f} s"


def within(seen: Seen, limit_s: float) -> Iterator[str]:
    for answer in seen.answers:
        if answer.took_s > limit_s + SLACK_S:
            yield f"the client waited {answer.took_s:.1f} s, more than {limit_s:g} s"


def jittered(gaps_s: Sequence[float], spread_s: float = 0.01) -> Iterator[str]:
    """Waits of independent requests are not alike."""
    if len(gaps_s) < 2 or max(gaps_s) - min(gaps_s) < spread_s:
        yield f"waits without jitter: {[round(each, 4) for each in gaps_s]}"


def outage(seen: Seen, lasts_s: float, cooldown_s: float, recovery_s: float, most_asked: int) -> Iterator[str]:
    """Twenty requests around an outage of the primary, which began when it was first asked."""
    yield from served(seen)
    times = [each.at_s for each in seen.of("primary")]
    if not times:
        yield "the primary was never asked"
        return
    over_s = times[0] + lasts_s
    pauses = [later - earlier for earlier, later in pairwise(times) if earlier < times[0] + cooldown_s / 2]
    if max(pauses, default=lasts_s) > cooldown_s:
        yield f"the primary was left alone for {max(pauses, default=lasts_s):.2f} s at first, more than {cooldown_s:g} s"
    if (asked := sum(each < over_s for each in times)) > most_asked:
        yield f"the primary was asked {asked} times during its outage, more than {most_asked}"
    back = [answer.sent_s for answer in seen.answers if answer.model == "primary-real"]
    if not back:
        yield "the primary was not used again"
    elif min(back) - over_s > recovery_s:
        yield f"the primary was used again {min(back) - over_s:.2f} s after its outage, later than {recovery_s:g} s"
