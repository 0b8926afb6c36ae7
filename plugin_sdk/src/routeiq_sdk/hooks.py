"""The marker for hook implementations: `@hookimpl`. What the hooks are is in `specs`."""

from __future__ import annotations

import pluggy

PROJECT = "routeiq"
API_VERSION = "1.0"

hookimpl = pluggy.HookimplMarker(PROJECT)
hookspec = pluggy.HookspecMarker(PROJECT)
