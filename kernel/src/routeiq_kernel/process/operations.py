"""What a running gateway can be asked: over the control socket, by a worker's admin API, or by SIGHUP."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from attrs import evolve
from routeiq_sdk import ConfigError

from ..config.kernel import kernel_settings
from .link import Message, failure

if TYPE_CHECKING:
    from .parent import Member, Parent

    Answer = tuple[Member, Message]

PREPARE_S = 120.0
SHORT_S = 5.0
EXPLAIN_S = 30.0
FIXED = ("host", "port", "workers", "server", "state_dir", "tls", "send_buffer_bytes", "log_level", "log_format")
"""Settings that a reload cannot change."""
SUMMED = ("calls", "failures", "skipped", "seconds")


async def operate(parent: Parent, message: Message) -> Message:
    op = message.get("op")
    if op == "explain":
        return await explain(parent, message)
    action = {"reload": reload, "status": status, "why-parsed": why_parsed, "stop": stop}.get(str(op))
    return await action(parent) if action else failure(f"unknown operation {op!r}")


async def stop(parent: Parent) -> Message:
    parent.stop()
    return {"ok": True}


async def reload(parent: Parent) -> Message:
    """Every worker prepares, then all commit, or all abort and the errors come back. Of the kernel's own settings only the
    drain's follow without a restart."""
    async with parent.reloading:
        if parent.stopping:
            return failure("the gateway is shutting down")
        try:
            document = parent.load()
            settings = kernel_settings(document)
        except ConfigError as error:
            return failure(*error.problems)
        members = list(parent.members.values())
        errors = _errors(await _ask(members, {"op": "prepare", "document": document.to_json().decode()}, PREPARE_S))
        if errors:
            await _ask(members, {"op": "abort"}, PREPARE_S)
            return failure(*errors)
        changed = [name for name in FIXED if getattr(parent.settings, name) != getattr(settings, name)]
        parent.document, parent.settings = document, evolve(parent.settings, drain=settings.drain)
        for member, committed in await _ask(members, {"op": "commit"}, SHORT_S):
            if not committed["ok"]:  # its replacement starts with the new document
                member.send_signal(signal.SIGKILL)
        notes = [f"kernel.{name} has changed: restart the gateway for it" for name in changed]
        return {"ok": True, "hash": document.hash, "workers": len(members), "notes": notes}


async def _ask(members: Sequence[Member], message: Message, timeout_s: float) -> list[Answer]:
    return list(zip(members, await asyncio.gather(*(member.link.ask(message, timeout_s) for member in members)), strict=True))


def _errors(answers: list[Answer]) -> list[str]:
    """Each once: as a rule all workers say the same."""
    said: dict[str, list[str]] = {}
    for member, answer in answers:
        for error in answer.get("errors", ()):
            said.setdefault(error, []).append(str(member.index))
    return [error if len(who) == len(answers) else f"worker {', '.join(who)}: {error}" for error, who in said.items()]


async def to_others(parent: Parent, sender: Member, message: Message) -> Message:
    """What the other workers that serve answer, if the message asks."""
    others = [each for each in parent.members.values() if each is not sender and each.ready]
    if message["op"] == "peers":
        others = [each for each in others if each.link.keeps_up(f"worker {each.pid}")]
    if "id" in message:
        found = await _ask(others, message, message["until"] - monotonic())
        return {"answers": [each for _, answer in found for each in answer.get("answers", ())]}
    for other in others:
        other.link.tell(message)
    return {}


async def status(parent: Parent) -> Message:
    answers = await _ask(sorted(parent.members.values(), key=lambda member: member.index), {"op": "status"}, SHORT_S)
    return {
        "ok": True, "pid": os.getpid(), "port": parent.port, "config": parent.document.path, "hash": parent.document.hash,
        "draining": parent.stopping, "in_flight": sum(answer.get("in_flight", 0) for _, answer in answers),
        "admitted": parent.shared.in_flight(), "uptime_s": round(monotonic() - parent.started_s, 1),
        "workers": [_row(*each) for each in answers], "hooks": _metered(answers),
    }  # fmt: skip


def _metered(answers: list[Answer]) -> list[dict[str, Any]]:
    """The meter of every plugin and hook, summed over the workers."""
    total: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in (cell for _, answer in answers for cell in answer.get("hooks", ())):
        seen = total.setdefault((cell["plugin"], cell["hook"]), cell)
        if seen is not cell:
            seen.update({name: seen[name] + cell[name] for name in SUMMED}, quarantined=seen["quarantined"] or cell["quarantined"])
    return list(total.values())


def _row(member: Member, found: Message) -> dict[str, Any]:
    state = "ready" if found["ok"] else "starting" if not member.ready else "not answering"
    facts: dict[str, Any] = {name: found[name] for name in ("hash", "in_flight", "draining") if name in found}
    return {"index": member.index, "pid": member.pid, "state": state, "uptime_s": round(monotonic() - member.started_s, 1), **facts}


async def why_parsed(parent: Parent) -> Message:
    """Any ready worker knows."""
    for _, found in await _ask([member for member in parent.members.values() if member.ready], {"op": "status"}, SHORT_S):
        if found["ok"]:
            return {**found["why_parsed"], "ok": True}
    return failure("no worker is ready")


async def explain(parent: Parent, message: Message) -> Message:
    """One worker says what it would do itself."""
    ready = [member for member in parent.members.values() if member.ready]
    return await ready[0].link.ask(message, EXPLAIN_S) if ready else failure("no worker is ready")
