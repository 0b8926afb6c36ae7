"""Writes the reference pages that say what the code says: hooks and configuration. `python docs/pages.py`; a test compares."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from routeiq_kernel.config.flags import FLAGS
from routeiq_kernel.config.kernel import Settings
from routeiq_sdk import context, decisions, manifest, request, resources, services, specs, stream
from routeiq_sdk.specs import HOOKS, Specs

REFERENCE = Path(__file__).parent / "reference"
GROUPS = {
    "When the gateway is built": (
        "provide_services", "register_formats", "register_surfaces", "register_providers", "register_strategies", "register_routes",
        "register_middleware", "register_health", "register_panels",
    ),
    "Lifecycle": ("lifespan", "on_config_changed"),
    "Requests": ("authenticate", "on_request", "authorize", "candidates", "route", "before_upstream", "on_upstream_error", "on_attempt"),
    "Answers": ("response_headers", "on_stream_event", "on_block", "on_response"),
    "Afterwards": ("on_complete", "on_records"),
}  # fmt: skip
HOOKS_HEAD = """# Hooks

The plugin API, version 1.0. An implementation is a method of the plugin class marked `@hookimpl`. It names only the arguments it
needs, gives them no defaults, and is a coroutine function where the hook is one. The types are on the page [types](types.md).

| kind | composition | when the plugin itself fails |
| --- | --- | --- |
| collect | results are joined when the gateway is built | the gateway does not start |
| gate | the first `Deny` wins | denied (closed) or skipped (open), counted |
| first | the first answer that is not None wins | an error (closed) or the next one (open) |
| transform | each gets what the one before returned; None means unchanged | an error (closed) or skipped (open) |
| notify | all run, off the client's path | counted |
| special | see the hook | the gateway does not start, or keeps its configuration |
"""
CONFIGURATION_HEAD = """# Configuration of the kernel

One precedence for every setting: flag, environment, file, LiteLLM's key, default. Times are in seconds. Plugins' settings are in
their READMEs; `kernel config schema` prints all of them.

| setting | default | environment | LiteLLM's key | meaning |
| --- | --- | --- | --- | --- |
"""
FLAGS_HEAD = """
## Flags of kernel serve

| flag | sets |
| --- | --- |
"""


def signature(name: str) -> str:
    """The hook's definition as an implementation with all arguments would write it, without `self`."""
    found = inspect.signature(vars(Specs)[name])
    bare = found.replace(parameters=list(found.parameters.values())[1:])
    return f"{'async ' if HOOKS[name].is_async else ''}def {name}{bare}".replace("'", "")


def hooks_page() -> str:
    parts = [HOOKS_HEAD]
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [f"### {name}\n\n```python\n{signature(name)}: ...\n```\n\n*{HOOKS[name].kind}.* {_meaning(name)}\n" for name in names]
    return "\n".join(parts)


def configuration_page() -> str:
    rows = [f"| {' | '.join(row)} |" for row in _settings(Settings, "kernel.")]
    flags = [f"| {_code(options)} | {_code([path]) if path != 'config' else 'the file that is read'} |" for path, options in FLAGS.items()]
    return CONFIGURATION_HEAD + "\n".join(rows) + "\n" + FLAGS_HEAD + "\n".join(flags) + "\n"


def _meaning(name: str) -> str:
    text = inspect.getdoc(vars(Specs)[name]) or ""
    said = text if HOOKS[name].kind == "special" else text.split(":", 1)[1].strip()
    return " ".join((said[0].upper() + said[1:]).split())


def _settings(cls: Any, prefix: str) -> Iterator[tuple[str, ...]]:
    for field in attrs.fields(cls):
        if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
            yield from _settings(field.default.factory, f"{prefix}{field.name}.")
            continue
        told = field.metadata
        variables, keys = (told.get(name) or "" for name in ("env", "key"))
        yield (
            f"`{prefix}{field.name}`",
            _default(field.default),
            _code(variables.split()),
            _code(keys.split()),
            told["help"].replace("|", "\\|"),
        )


def _default(value: Any) -> str:
    if value in (None, (), ""):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _code(words: Any) -> str:
    return ", ".join(f"`{word}`" for word in words)


TYPES_HEAD = """# Types that plugins meet

What the hooks receive and answer, module by module, as their own docstrings say it. Everything is immutable. To change an event use
`routeiq_sdk.stream.replace(event, value=...)`, to change a request `request.replace(...)`.

A plugin that sees or changes answers (`on_stream_event`, `on_block`, `on_response`) names `Capability.STREAM` in its manifest, and
what it changes in `mutates`, such as `mutates=("text",)`: the contract kit holds one that names nothing to unchanged bytes. A plugin
that provides a service names its key in `provides` and gives the object in `provide_services`; one that needs it names the key in
`requires` and asks `ctx.service(KEY)` in its `lifespan`. `CLOCK`, `PEERS` and `MODEL_CALLER` are the kernel's own and need no naming:

```python
from contextlib import asynccontextmanager
from routeiq_sdk import Manifest, ServiceKey, hookimpl

TALLY = ServiceKey("acme_tally")
counts = Manifest(name="acme_tally", api="1.0", factory="acme:Tally", provides=(TALLY,))
shouts = Manifest(name="acme_shout", api="1.0", factory="acme:Shout", requires=(TALLY,))

class Tally:
    @hookimpl
    def provide_services(self):
        return {TALLY: []}

class Shout:
    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx):
        self.tally = ctx.service(TALLY)
        yield
```
"""
TYPES = {
    manifest: ("Manifest", "FailureMode", "Hold", "Capability"),
    decisions: ("Principal", "Reject", "Deny", "Plan", "Failure", "Retry", "Next", "Model", "Fail", "Attempt"),
    context: ("PluginContext", "RequestContext", "Outcome", "Transaction"),
    request: ("Request", "Content", "Message", "Tool", "ToolChoice", "Sampling"),
    specs: ("Response",),
    stream: (
        "MessageStart", "BlockStart", "BlockDelta", "BlockStop", "Usage", "UsageParts", "Stop", "Annotation", "Ping", "Opaque", "Error",
        "MessageEnd", "Text", "Media", "Reasoning", "Refusal", "ToolCall", "ToolResult", "OpaqueBlock", "Seal",
    ),
    resources: ("Deployment", "Surface", "Reply", "Call", "Route", "Health", "HealthCheck", "Strategy"),
    services: ("ServiceKey", "HttpClients", "StateStore", "Clock", "Peers"),
}  # fmt: skip


def types_page() -> str:
    parts = [TYPES_HEAD]
    for module, names in TYPES.items():
        parts.append(f"## {module.__name__}\n")
        parts += [_type(getattr(module, name)) for name in names]
    return "\n".join(parts)


def _type(cls: type) -> str:
    told = inspect.getdoc(cls) if cls.__doc__ else ""
    members = [f"`{name}: {kind}`" for name, kind in vars(cls).get("__annotations__", {}).items() if not name.startswith("_")]
    return "\n\n".join(filter(None, (f"### {cls.__name__}", told, ", ".join(members)))) + "\n"


PAGES = {"hooks.md": hooks_page, "configuration.md": configuration_page, "types.md": types_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), "utf-8")
