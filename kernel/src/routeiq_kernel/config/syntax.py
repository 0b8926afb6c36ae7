"""YAML 1.2 → plain JSON values, and the line that each of them stands on.

The tree is composed once by ruamel and built here, not by its constructors: that gives the lines for nothing, keeps dates and
unknown tags out, and bounds what aliases may expand to. Messages quote keys but never values: a value may be a secret.
"""

from __future__ import annotations

import math
from typing import Any

from routeiq_sdk import ConfigError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

MAX_DEPTH = 64
MAX_NODES = 200_000
TAG = "tag:yaml.org,2002:"


TEXTS = ("str", "timestamp", "value")
OTHERS = ("null", "bool", "int", "float")


def parse(text: str, name: str) -> tuple[Any, dict[str, int]]:
    """The document's value (None when it is empty) and dotted path → line. `name` stands in the messages."""
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_DEPTH
    yaml.composer.warn_double_anchors = False
    try:
        node = yaml.compose(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position or 0) + 1
        raise ConfigError(f"{name}:{line}: the character #x{ord(text[error.position or 0]):02x} is not allowed in YAML") from None
    except MarkedYAMLError as error:
        raise ConfigError(_syntax_problem(error, name)) from None
    except YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {type(error).__name__}") from None
    builder = Builder(name, yaml.constructor)
    value = None if node is None else builder.build(node, "", 1)
    if builder.problems:
        raise ConfigError(*builder.problems)
    return value, builder.lines


def _syntax_problem(error: MarkedYAMLError, name: str) -> str:
    mark = error.problem_mark or error.context_mark
    what = str(error.problem or error.context).partition(", if necessary")[0]
    hint = "; YAML is indented with spaces, not with tabs" if "'\\t'" in what else ""
    context = f", {error.context}" if error.context and error.context != what else ""
    return f"{name}:{mark.line + 1 if mark else 1}: {what}{context}{hint}"


class Builder:
    def __init__(self, name: str, constructor: Any) -> None:
        self.name, self.constructor = name, constructor
        self.problems: list[str] = []
        self.lines: dict[str, int] = {}
        self.nodes = 0

    def build(self, node: Node, path: str, depth: int) -> Any:
        self.nodes += 1
        line = node.start_mark.line + 1
        if self.nodes > MAX_NODES:
            raise ConfigError(f"{self.name}:{line}: more than {MAX_NODES:,} values, with what aliases repeat")
        if depth > MAX_DEPTH:
            raise ConfigError(f"{self.name}:{line}: nested more than {MAX_DEPTH} deep; does an alias contain itself?")
        self.lines.setdefault(path, line)
        if isinstance(node, ScalarNode):
            return self.scalar(node, line)
        if isinstance(node, MappingNode) and node.tag == TAG + "map":
            return self.mapping(node, path, depth)
        if isinstance(node, SequenceNode) and node.tag == TAG + "seq":
            return [self.build(item, f"{path}.{index}", depth + 1) for index, item in enumerate(node.value)]
        return self.problem(line, f"the tag {node.tag} is not supported")

    def problem(self, line: int, text: str) -> None:
        self.problems.append(f"{self.name}:{line}: {text}")

    def scalar(self, node: ScalarNode, line: int) -> Any:
        kind = str(node.tag).removeprefix(TAG)
        if kind not in TEXTS + OTHERS:
            return self.problem(line, f"the tag {node.tag} is not supported")
        try:
            value = node.value if kind in TEXTS else getattr(self.constructor, f"construct_yaml_{kind}")(node)
            node.value.encode()  # "\ud800" is no character
        except (ValueError, LookupError):
            value = math.nan
        if isinstance(value, float):
            good = math.isfinite(value)
        else:
            good = not isinstance(value, int) or -(2**63) <= value < 2**64
        return value if good else self.problem(line, f"not a valid {kind}")

    def mapping(self, node: MappingNode, path: str, depth: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                self.problem(line, "a key must be a plain word")
            elif key.tag == TAG + "merge":
                for source in value.value if isinstance(value, SequenceNode) else [value]:
                    found = self.build(source, path, depth + 1)
                    if isinstance(found, dict):
                        merged = found | merged
                    else:
                        self.problem(line, "<< merges mappings only")
            elif key.value in own:
                self.problem(line, f"the key {key.value!r} stands twice in one mapping")
            else:
                here = f"{path}.{key.value}" if path else key.value
                self.lines[here] = line
                own[key.value] = self.build(value, here, depth + 1)
        return merged | own
