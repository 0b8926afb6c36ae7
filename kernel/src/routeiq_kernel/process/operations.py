"""What a running gateway can be asked: over the control socket, by a worker's admin API, or by SIGHUP."""

from __future__ import annotations

import asyncio
import os
import signal
from time import monotonic
from typing import TYPE_CHECKING, Any

from routeiq_sdk import ConfigError

from ..config.kernel import Settings, kernel_settings
from .link import Message, failure

if TYPE_CHECKING:
    from .parent import Member, Parent

PREPARE_S = 120.0
SHORT_S = 5.0
INTERNAL = ("prepare", "commit", "abort", "drain", "quarantine")
"""Only the parent itself may say these to a worker."""
FIXED = ("host", "port", "workers", "server", "state_dir", "tls", "send_buffer_bytes", "log_level", "log_format")
"""Settings that a reload cannot change."""


async def answer(parent: Parent, message: Message) -> Message:
    op = message.get("op")
    if op == "reload":
        return await reload(parent)
    if op == "status":
        return await status(parent)
    if op == "stop":
        parent.stop()
        return {"ok": True}
    if op in INTERNAL:
        return failure(f"unknown operation {op!r}")
    return await forward(parent, message)


async def reload(parent: Parent) -> Message:
    """Every worker prepares, then all commit, or all abort and the errors come back."""
    async with parent.reloading:
        if parent.stopping:
            return failure("the gateway is shutting down")
        try:
            document = parent.load()
            settings = kernel_settings(document)
        except ConfigError as error:
            return failure(*error.problems)
        members = list(parent.members.values())
        prepared = await _ask(members, {"op": "prepare", "document": document.to_json().decode()}, PREPARE_S)
        errors = _errors(members, prepared)
        if errors:
            await _ask(members, {"op": "abort"}, PREPARE_S)
            return failure(*errors)
        notes = [f"kernel.{name} has changed: restart the gateway for it" for name in _changed(parent.settings, settings)]
        parent.adopt(document, settings)
        for member, committed in zip(members, await _ask(members, {"op": "commit"}, SHORT_S), strict=True):
            if not committed.get("ok"):  # its replacement starts with the new document
                member.send_signal(signal.SIGKILL)
        return {"ok": True, "hash": document.hash, "workers": len(members), "notes": notes}


async def _ask(members: list[Member], message: Message, timeout_s: float) -> list[Message]:
    return await asyncio.gather(*(member.link.ask(message, timeout_s) for member in members))


def _errors(members: list[Member], answers: list[Message]) -> list[str]:
    """Each once: as a rule all workers say the same."""
    said: dict[str, list[int]] = {}
    for member, each in zip(members, answers, strict=True):
        for error in each.get("errors", ()):
            said.setdefault(error, []).append(member.index)
    return [error if len(who) == len(members) else f"worker {', '.join(map(str, who))}: {error}" for error, who in said.items()]


def _changed(old: Settings, new: Settings) -> list[str]:
    return [name for name in FIXED if getattr(old, name) != getattr(new, name)]


async def status(parent: Parent) -> Message:
    members = sorted(parent.members.values(), key=lambda member: member.index)
    answers = await _ask(members, {"op": "status"}, SHORT_S)
    return {
        "ok": True, "pid": os.getpid(), "port": parent.port, "config": parent.document.path, "hash": parent.document.hash,
        "draining": parent.stopping, "in_flight": sum(each.get("in_flight", 0) for each in answers), "admitted": parent.shared.in_flight(),
        "uptime_s": round(monotonic() - parent.started_s, 1),
        "workers": [_row(member, each) for member, each in zip(members, answers, strict=True)], "hooks": _metered(answers),
    }  # fmt: skip


def _metered(answers: list[Message]) -> list[dict[str, Any]]:
    """The meter of every plugin and hook, summed over the workers."""
    total: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in (cell for each in answers for cell in each.get("hooks", ())):
        seen = total.setdefault((cell["plugin"], cell["hook"]), cell)
        if seen is not cell:
            seen.update({name: seen[name] + cell[name] for name in ("calls", "failures", "skipped", "seconds")})
            seen["quarantined"] = seen["quarantined"] or cell["quarantined"]
    return list(total.values())


def _row(member: Member, found: Message) -> dict[str, Any]:
    state = "ready" if found.get("ok") else "starting" if not member.ready else "not answering"
    facts: dict[str, Any] = {name: found[name] for name in ("hash", "in_flight", "draining") if name in found}
    return {"index": member.index, "pid": member.pid, "state": state, "uptime_s": round(monotonic() - member.started_s, 1), **facts}


async def forward(parent: Parent, message: Message) -> Message:
    """What only a graph can answer: any ready worker has one."""
    member = next((each for each in parent.members.values() if each.ready), None)
    return await member.link.ask({"op": message.get("op")}, SHORT_S) if member else failure("no worker is ready")
