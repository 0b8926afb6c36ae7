"""What `kernel plugins list`, `info` and `graph` show: plain data for JSON, and the same as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, get_args

from attrs import NOTHING, fields

from .select import DEFAULT, Expression, split

if TYPE_CHECKING:
    from routeiq_sdk import Manifest

    from .choose import Chosen
    from .discover import Found

LEGEND = {
    "default": "default: on if its manifest says so",
    "if needed": "if needed: on if another plugin requires its service",
}


def stated(expression: Expression, disabled: Expression, found: Mapping[str, Found], configured: Expression = DEFAULT) -> dict[str, str]:
    """How much of "enabled" the selection tells without importing a manifest: yes, no, default or if needed. Raises nothing:
    unknown names are for `select` to refuse."""
    items = split(expression)
    if items and all(item[0] in "+-" for item in items):
        table = stated(configured if configured != expression else DEFAULT, (), found)
        table |= {item[1:]: "yes" if item[0] == "+" else "no" for item in items if item[1:] in found}
    else:
        rest = "no" if set(items) <= {"none"} else "if needed"
        table = {name: _stated(name, each.standard, items, rest) for name, each in found.items()}
    return table | {name: "no" for name in split(disabled) if name in found}


def _stated(name: str, standard: bool, items: Sequence[str], rest: str) -> str:
    if name in items or "all" in items or (standard and "@standard" in items):
        return "yes"
    if standard and DEFAULT in items:
        return "default"
    return rest if standard else "no"


def rows(found: Mapping[str, Found], enabled: Mapping[str, str], summaries: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """One row for each plugin. Without `summaries` no manifest was read."""
    table = []
    for name, each in found.items():
        row = {"name": name, "version": each.version, "distribution": each.dist, "standard": each.standard}
        more = {} if summaries is None else {"summary": summaries.get(name, "")}
        table.append({**row, "enabled": enabled.get(name, "unknown"), **more})
    return table


def text_table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "No plugins are installed. pip install routeiq brings the standard set."
    cells = [list(rows[0]), *([_word(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    legend = [LEGEND[word] for word in LEGEND if any(row.get("enabled") == word for row in rows)]
    return "\n".join([*lines, *(["", *legend, "kernel plugins list --long reads the manifests and says yes or no"] if legend else [])])


def info(found: Found, manifest: Manifest, config: Any = None, hooks: Iterable[str] = ()) -> dict[str, Any]:
    """Everything a manifest says, the distribution's version, the settings of the config class and the hooks."""
    said = {field.name: _plain(getattr(manifest, field.name)) for field in fields(type(manifest))}
    settings = {field.name: _setting(field) for field in (fields(config) if config else ())}
    where = {"distribution": found.dist, "version": found.version, "standard": found.standard}
    return {"name": manifest.name, **where, **said, "settings": settings, "hooks": list(hooks)}


def info_text(data: Mapping[str, Any]) -> str:
    said = {name: value for name, value in data.items() if name != "settings" and value not in ("", [], None)}
    lines = [f"{name.replace('_', ' ') + ':':16} {_word(value)}" for name, value in said.items()]
    for name, setting in data["settings"].items():
        more = "; ".join(f"{key}: {value}" if key != "help" else value for key, value in setting.items() if key not in ("type", "default"))
        lines.append(f"  plugins.{data['name']}.{name}: {setting['type']} = {setting['default']}{f'  ({more})' if more else ''}")
    return "\n".join(lines)


def graph(chosen: Chosen) -> dict[str, Any]:
    edges = [{"before": edge.before, "after": edge.after, "reason": edge.reason} for edge in chosen.order.edges]
    return {"order": list(chosen.order.names), "enabled": dict(chosen.reasons), "edges": edges, "notes": list(chosen.notes)}


def graph_text(data: Mapping[str, Any]) -> str:
    """The order, each plugin with why it is enabled and why it comes after others."""
    lines = [] if data["order"] else ["No plugin is enabled."]
    for place, name in enumerate(data["order"], 1):
        lines.append(f"{place:3} {name}  ({data['enabled'][name]})")
        lines += [f"      after {edge['before']}: {edge['reason']}" for edge in data["edges"] if edge["after"] == name]
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | frozenset):
        words = [_plain(each) for each in value]
        return sorted(words) if isinstance(value, frozenset) else words
    return value if value is None or isinstance(value, str | bool | int | float) else repr(value)


def _setting(field: Any) -> dict[str, str]:
    factory = getattr(field.default, "factory", None)
    default = "required" if field.default is NOTHING else f"{factory.__name__}()" if factory else repr(field.default)
    kind = field.type if isinstance(field.type, str) or get_args(field.type) else getattr(field.type, "__name__", field.type)
    return {"type": str(kind), "default": default, **{key: value for key, value in field.metadata.items() if value}}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
