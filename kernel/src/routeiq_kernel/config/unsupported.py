"""What an operator set and nobody uses: LiteLLM's keys, and environment variables of plugins that are not enabled."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from .kernel import Settings
from .known import known
from .load import SECTIONS, Document
from .models import DEFAULTS, ENTRY
from .plugins import used
from .strict import nearest

OFF = {"", "0", "false", "no", "off"}


def warnings(document: Document, keys_used: Iterable[str], env_used: Iterable[str], plugins_enabled: Collection[str]) -> list[str]:
    """`keys_used` and `env_used` are those of the enabled plugins; the kernel's own are known here."""
    keys, variables = used([Settings])
    keys |= {DEFAULTS} | {key for text in keys_used for key in text.split()}
    variables |= {name for text in env_used for name in text.split()}
    texts = dict([*_sections(document), *_entries(document), *_keys(document, keys), *_plugins(document, plugins_enabled)])
    return [f"{path}: {text} ({document.where(path)})" for path, text in texts.items()] + list(_variables(document, variables))


def _sections(document: Document) -> Iterator[tuple[str, str]]:
    litellm = known().litellm["sections"]
    for name in document.data:
        if name in litellm:
            yield name, "this LiteLLM section is not supported yet and has no effect"
        elif name not in SECTIONS and not name.startswith(("x-", "_", ".")):
            yield name, f"unknown section without effect{nearest(name, (*SECTIONS, *litellm))}"


def _entries(document: Document) -> Iterator[tuple[str, str]]:
    for index, entry in enumerate(document.data.get("model_list") or []):
        for name in entry if isinstance(entry, dict) else ():
            if name not in ENTRY:
                yield f"model_list.{index}.{name}", f"unknown key without effect{nearest(name, ENTRY)}"


def _keys(document: Document, keys_used: Collection[str]) -> Iterator[tuple[str, str]]:
    for section, settings in known().litellm.items():
        for name in document.section(section):
            path = f"{section}.{name}"
            if any(key == path or key.startswith(f"{path}.") for key in keys_used):
                continue
            if name in settings:
                yield path, "no enabled plugin supports this LiteLLM setting yet; it has no effect"
            else:
                yield path, f"not a setting of LiteLLM; it has no effect{nearest(name, settings)}"


def _plugins(document: Document, enabled: Collection[str]) -> Iterator[tuple[str, str]]:
    for name in document.section("plugins"):
        if name not in enabled:
            yield f"plugins.{name}", "the plugin is not enabled, so this section has no effect"


def _variables(document: Document, env_used: Collection[str]) -> Iterator[str]:
    for owner, variables in known().variables.items():
        for name in variables:
            value = document.environ.get(name, "")
            off = value.lower() in OFF if name.endswith("_ENABLED") else not value
            if name not in env_used and not off:
                yield f"environment {name}: no enabled plugin reads it ({owner}); it has no effect"
