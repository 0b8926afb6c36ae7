"""Provider bytes → events, from a stream or a whole answer. Never raises, whatever the bytes."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Raw, Struct, structs
from routeiq_sdk.errors import ClientError
from routeiq_sdk.stream import Annotation, Error, Event, Frame, MessageEnd, MessageStart, Opaque, Stop, Usage, UsageParts

from . import errors, usage
from .chunks import MAX_MALFORMED, malformed, payload
from .lane import Lane
from .wire import NAME, Fields, Loose, is_object

KNOWN = ("candidates", "usageMetadata", "modelVersion", "responseId")
MAX_CHOICES = 128


class QuickPart(Struct, forbid_unknown_fields=True, gc=False):
    text: str
    thought: bool = False


class QuickContent(Struct, forbid_unknown_fields=True, gc=False):
    parts: list[QuickPart]
    role: str = "model"


class QuickCandidate(Struct, forbid_unknown_fields=True, gc=False):
    content: QuickContent
    index: int = 0


class QuickChunk(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """What nearly every chunk is: one part of text, and counts."""

    candidates: list[QuickCandidate]
    usage_metadata: Raw = Raw()
    model_version: str = ""
    response_id: str = ""


_quick = msgspec.json.Decoder(QuickChunk).decode


class GeminiDecoder:
    __slots__ = ("_bad", "_blocked", "_ids", "_lanes", "_over", "_said", "_seed", "_started", "_usage", "dropped")

    def __init__(self) -> None:
        self.dropped = self._bad = 0
        self._blocked = self._over = self._started = False
        self._ids: set[str] = set()
        self._lanes: dict[int, Lane] = {}
        self._said: dict[str, bytes] = {}
        self._seed = ""
        self._usage: UsageParts | None = None

    def feed(self, frame: bytes) -> list[Event]:
        data = payload(frame)
        if not data or self._over:
            return []
        return self._quickly(data, frame) or self.chunk(data, frame)

    def _quickly(self, data: bytes, frame: bytes) -> list[Event]:
        """The events of a chunk that only goes on with the open text; [] for every other one."""
        try:
            chunk = _quick(data)
        except (msgspec.DecodeError, RecursionError):
            return []
        given = chunk.candidates
        lane = self._lanes.get(given[0].index) if len(given) == 1 and len(given[0].content.parts) == 1 else None
        if lane is None or self._blocked:
            return []
        part, shared = given[0].content.parts[0], Frame(NAME, frame)
        event = lane.goes_on(part.text, part.thought, shared)
        if event is None:
            return []
        self._bad = 0
        events = [event, *self._count(chunk.usage_metadata, shared)]
        shared.count = len(events)
        return events

    def chunk(self, data: bytes, frame: bytes) -> list[Event]:
        shared = Frame(NAME, frame)
        events: list[Event] = []
        try:
            whole = Loose(data)
            if "error" in whole.names and errors.inside(errors.load(data)) is not None:
                return self._fail(data, shared)
            is_whole = self._read(whole, shared, events)
        except ClientError:
            if data.startswith(b"[") and errors.inside(errors.load(data)) is not None:
                return self._fail(data, shared)
            self.dropped += 1
            self._bad += 1
            if self._bad >= MAX_MALFORMED:
                self._over = True
                return [malformed()]
            is_whole = False
        else:
            self._bad = 0
        if not is_whole:
            return [structs.replace(event, frame=None) for event in events]
        if not events:
            events.append(Opaque(frame=shared, name="chunk", raw=data))
        shared.count = len(events)
        return events

    def _fail(self, data: bytes, frame: Frame) -> list[Event]:
        self._over = True
        inner = errors.inside(errors.load(data)) or {}
        return [structs.replace(errors.from_object(inner, data), frame=frame)]

    def _read(self, whole: Loose, frame: Frame, events: list[Event]) -> bool:
        """Whether the chunk's bytes stand for its events."""
        candidates = [Loose(raw, "candidate") for raw in whole.list("candidates") if is_object(raw)]
        self._start(whole, frame, events)
        is_whole = not (self._blocked and candidates)
        for candidate in candidates if not self._blocked else ():
            lane = self._lane(candidate.integer("index") or 0)
            before = lane.dropped
            lane.feed(candidate, frame, events)
            self.dropped += lane.dropped - before
            is_whole = is_whole and not lane.rebuilt and lane.dropped == before
        for name, raw in whole.rest(KNOWN).items():
            if raw != b"null" and self._said.get(name) != raw:
                self._said[name] = raw
                events.append(Annotation(frame=frame, name=name, raw=raw))
        feedback = whole.object("promptFeedback")
        reason = feedback.text("blockReason") if feedback else None
        if reason and not self._lanes and not self._blocked:
            self._blocked = True
            events.append(Stop(frame=frame, reason="content_filter", native=reason))
        events += self._count(whole.raw("usageMetadata"), frame)
        return is_whole

    def _count(self, raw: bytes | Raw | None, frame: Frame) -> list[Event]:
        counted = usage.read(raw)
        if counted is None:
            return []
        self._usage = counted.over(self._usage) if self._usage else counted
        return [Usage(frame=frame, parts=self._usage)]

    def _start(self, whole: Loose, frame: Frame, events: list[Event]) -> None:
        if self._started or not whole.names:
            return
        self._started = True
        given = whole.text("responseId") or ""
        self._seed = given or hashlib.sha256(frame.data).hexdigest()
        events.append(MessageStart(frame=frame, id=given, model=whole.text("modelVersion") or ""))

    def _lane(self, index: int) -> Lane:
        index = index if 0 <= index < MAX_CHOICES else 0
        if index not in self._lanes:
            self._lanes[index] = Lane(index, self._seed, self._ids)
        return self._lanes[index]

    @property
    def complete(self) -> bool:
        lanes = self._lanes.values()
        return not self._over and (all(lane.stopped or lane.hinted for lane in lanes) if lanes else self._blocked)

    def close(self) -> list[Event]:
        if not self.complete:
            return []
        self._over = True
        events: list[Event] = []
        for lane in self._lanes.values():
            if not lane.stopped:
                lane.finish("FINISH_REASON_UNSPECIFIED", None, events)
        if self._usage is not None:
            events.append(Usage(parts=self._usage, final=True))
        return [*events, MessageEnd()]

    def close_whole(self) -> list[Event]:
        """The end of a whole answer, which is one whatever it lacks."""
        if not self._lanes and not self._blocked:
            self._lane(0)
        for lane in self._lanes.values():
            lane.hinted = True
        return self.close()


def check(body: bytes) -> Error | None:
    """What is wrong with a whole answer of status 200."""
    value = errors.load(body)
    inner = errors.inside(value)
    if inner is not None:
        return errors.from_object(inner, body)
    if isinstance(value, dict):
        return None
    return Error(kind="bad_gateway", code="upstream_malformed", message="The provider answered 200 with something that is no JSON object.")


def explode(body: bytes) -> list[Event]:
    """A whole answer as the events of its stream."""
    problem = check(body)
    if problem is not None:
        return [problem]
    decoder = GeminiDecoder()
    events = decoder.chunk(body, body)
    if not events or isinstance(events[0], Error | Opaque):
        events = [MessageStart()]
    if not isinstance(events[0], MessageStart):
        events.insert(0, MessageStart())
    shared = events[0].frame
    events += [structs.replace(event, frame=shared) for event in decoder.close_whole()]
    if shared is not None:
        shared.count = len(events)
    return events


def read_usage(body: bytes) -> UsageParts | None:
    try:
        return usage.read(Fields(body).raw("usageMetadata"))
    except ClientError:
        return None
