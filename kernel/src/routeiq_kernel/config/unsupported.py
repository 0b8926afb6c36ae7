"""What an operator set and nobody uses: sections of nobody, LiteLLM's keys, and environment variables of plugins that are not enabled."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from routeiq_sdk import ConfigError

from .kernel import Settings
from .load import SECTIONS, Document
from .models import DEFAULTS, ENTRY, known
from .problems import nearest
from .strict import used

OFF = {"", "0", "false", "no", "off"}
SERVICE_LINK = re.compile(r"ROUTEIQ_(.*_)?(SERVICE_(HOST|PORT)|PORT(_\d+_TCP|$))")
"""What Kubernetes sets in every pod beside a Service called routeiq."""


def check_sections(document: Document, installed: Collection[str]) -> None:
    """Raises `ConfigError` for sections of plugins that are not installed and for misspelt sections of ours."""
    problems = [
        f"{name}: unknown section{close} ({document.where(name)})"
        for name in document.data
        if name not in SECTIONS and (close := nearest(name, ("kernel", "plugins"), cutoff=0.8))
    ]
    problems += [
        f"plugins.{name}: no such plugin is installed{nearest(name, installed)} ({document.where(f'plugins.{name}')})"
        for name in document.section("plugins")
        if name not in installed
    ]
    if problems:
        raise ConfigError(*problems)


def warnings(document: Document, keys_used: Iterable[str], env_used: Iterable[str], plugins_enabled: Collection[str]) -> list[str]:
    """`keys_used` and `env_used` are those of the enabled plugins; the kernel's own are known here."""
    keys, variables = used([Settings])
    texts = dict(_settings(document, {DEFAULTS, *keys, *keys_used}, plugins_enabled))
    unread = _variables(document, {*variables, *env_used})
    return [*(f"{path}: {text} ({document.where(path)})" for path, text in texts.items()), *unread]


def _settings(document: Document, keys_used: Collection[str], plugins_enabled: Collection[str]) -> Iterator[tuple[str, str]]:
    """Path and what is wrong with it."""
    litellm = known().litellm
    sections = litellm.pop("sections")
    for name in document.data:
        if name in sections:
            yield name, "this LiteLLM section is not supported yet and has no effect"
        elif name not in SECTIONS and not name.startswith(("x-", "_", ".")):
            yield name, f"unknown section without effect{nearest(name, (*SECTIONS, *sections))}"
    for index, entry in enumerate(document.data.get("model_list") or []):
        for name in entry if isinstance(entry, dict) else ():
            if name not in ENTRY:
                yield f"model_list.{index}.{name}", f"unknown key without effect{nearest(name, ENTRY)}"
    for section, settings in litellm.items():
        for name in document.section(section):
            path = f"{section}.{name}"
            if any(key == path or key.startswith(f"{path}.") for key in keys_used):
                continue
            if name in settings:
                yield path, "no enabled plugin supports this LiteLLM setting yet; it has no effect"
            else:
                yield path, f"not a setting of LiteLLM; it has no effect{nearest(name, settings)}"
    for name in document.section("plugins"):
        if name not in plugins_enabled:
            yield f"plugins.{name}", "the plugin is not enabled, so this section has no effect"


def _variables(document: Document, used: Collection[str]) -> Iterator[str]:
    owners = {name: owner for owner, names in known().variables.items() for name in names}
    for name, value in document.environ.items():
        off = value.lower() in OFF if name.endswith("_ENABLED") else not value
        if name in used or off:
            continue
        if name in owners:
            yield f"environment {name}: no enabled plugin reads it ({owners[name]}); it has no effect"
        elif name.startswith("ROUTEIQ_") and not SERVICE_LINK.match(name):
            yield f"environment {name}: nothing that is enabled reads it; it has no effect{nearest(name, (*used, *owners))}"
