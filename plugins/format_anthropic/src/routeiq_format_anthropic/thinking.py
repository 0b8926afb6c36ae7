"""Reasoning: what the client asks for, as thinking of the kind that the model takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw
from routeiq_sdk.crossing import BUDGETS, effort_of
from routeiq_sdk.request import Content, Message, ReasoningOptions
from routeiq_sdk.stream import Block, Reasoning, ToolCall

from .abilities import Target
from .parse import SHOWN
from .sse import plain
from .sse import write as dumps

LEAST_BUDGET = 1024
_DISPLAYS = {"summary": "summarized", "full": "summarized", "none": "omitted"}
_ONLY_OPENAI = ("context", "mode", "generate_summary")


def write(
    content: Content, messages: Sequence[Message], target: Target, limit: int, crossed: bool, losses: list[str]
) -> Raw | dict[str, Any] | None:
    """The `thinking` member, None for none."""
    wanted = content.reasoning
    if wanted is None:
        return None
    made: Raw | dict[str, Any] | None = None
    if wanted.native and not crossed and _unchanged(wanted):
        made = Raw(wanted.native)
    elif made := _made(wanted, target, limit, crossed, losses):
        _show(made, wanted, losses)
    if made is None and wanted.show not in (None, "none"):
        losses.append("reasoning.show;drop")
    if crossed:
        _report(wanted, losses)
    if kind_of(made) == "enabled" and not _sealed(messages):
        losses.append("reasoning;approx")
        return {"type": "disabled"}
    return made


def kind_of(thinking: Any) -> str:
    """The type of thinking, "disabled" for none."""
    return str((plain(dumps(thinking)) or {}).get("type")) if thinking is not None else "disabled"


def _made(wanted: ReasoningOptions, target: Target, limit: int, crossed: bool, losses: list[str]) -> dict[str, Any] | None:
    if wanted.mode == "off" or wanted.effort == "none":
        return {"type": "disabled"}
    budget = wanted.budget_tokens if wanted.mode == "budget" else None
    if wanted.mode == "auto" or (crossed and (_is_adaptive(wanted, target) or (budget is not None and not target.budgets))):
        return {"type": "adaptive"}
    asked = BUDGETS.get(wanted.effort or "") if crossed and budget is None else budget
    if asked is None:
        return None
    given = min(asked, limit - LEAST_BUDGET)
    if budget is None or given != budget:
        losses.append("reasoning.effort;approx")
    return {"type": "enabled", "budget_tokens": given} if given >= LEAST_BUDGET else {"type": "disabled"}


def _is_adaptive(wanted: ReasoningOptions, target: Target) -> bool:
    return wanted.effort is not None and wanted.mode != "budget" and target.adaptive


def _show(made: dict[str, Any], wanted: ReasoningOptions, losses: list[str]) -> None:
    if wanted.show is None or made["type"] == "disabled":
        return
    made["display"] = _DISPLAYS.get(wanted.show, "summarized")
    if wanted.show == "full":
        losses.append("reasoning.show;approx")


def effort(wanted: ReasoningOptions | None, target: Target, crossed: bool, thinks: bool, losses: list[str]) -> str | None:
    """`output_config.effort`."""
    if wanted is None:
        return None
    if not crossed:
        return wanted.effort
    given = wanted.effort
    if wanted.mode == "budget" and not target.budgets and wanted.budget_tokens is not None:
        given = effort_of(wanted.budget_tokens)
    if given in (None, "none") or not thinks or not target.adaptive:
        return None
    losses.append("reasoning.effort;approx")
    return "low" if given == "minimal" else given


def _unchanged(wanted: ReasoningOptions) -> bool:
    native = plain(wanted.native) or {"type": "adaptive"}
    mode = {"enabled": "budget", "disabled": "off"}.get(native["type"], "auto")
    shown = SHOWN.get(native.get("display") or "")
    return mode == wanted.mode and native.get("budget_tokens") == wanted.budget_tokens and shown == wanted.show


def _report(wanted: ReasoningOptions, losses: list[str]) -> None:
    """What only the other format knows of reasoning."""
    native = (plain(wanted.native) or {}) if wanted.native.startswith(b"{") else {}
    losses.extend(f"reasoning.{name};drop" for name in _ONLY_OPENAI if native.get(name) is not None)


def _sealed(messages: Sequence[Message]) -> bool:
    """Whether the open tool loop, if the conversation ends in one, has the reasoning that a thinking model wants back."""
    turns = [message for message in messages if message.role == "assistant"]
    if not messages or messages[-1].role != "tool" or not turns:
        return True
    parts: tuple[Block, ...] = turns[-1].parts
    is_call = any(isinstance(part, ToolCall) and part.owner == "client" for part in parts)
    return not is_call or any(isinstance(part, Reasoning) for part in parts)
