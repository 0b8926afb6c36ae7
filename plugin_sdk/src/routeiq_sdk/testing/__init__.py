"""The test kit: a gateway in the test's process, fakes, transcripts, order rules, and the contract every plugin keeps.

Names are imported when they are first used: pytest loads this package wherever the SDK is installed, with or without httpx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .builders import Context, answer, deployment, rc, request, tool_call
    from .contract import PluginContract
    from .events import check_events
    from .fakes import FakeClock, FakePeers, FakeProvider, MemoryStore, MuteStore, Recorder
    from .formats import codec, find_manifest, oracle
    from .gateway import AsgiTransport, Gateway, open_gateway
    from .stores import StateStoreContract
    from .transcripts import Transcript, every_split, load, load_all, replay, shape, summary
    from .upstream import Exchange, FakeHttp

_HOMES = {
    "builders": ("Context", "answer", "deployment", "rc", "request", "tool_call"),
    "contract": ("PluginContract",),
    "events": ("check_events",),
    "fakes": ("FakeClock", "FakePeers", "FakeProvider", "MemoryStore", "MuteStore", "Recorder"),
    "formats": ("codec", "find_manifest", "oracle"),
    "gateway": ("AsgiTransport", "Gateway", "open_gateway"),
    "stores": ("StateStoreContract",),
    "transcripts": ("Transcript", "every_split", "load", "load_all", "replay", "shape", "summary"),
    "upstream": ("Exchange", "FakeHttp"),
}

__all__ = [
    "AsgiTransport", "Context", "Exchange", "FakeClock", "FakeHttp", "FakePeers", "FakeProvider", "Gateway", "MemoryStore",
    "MuteStore", "PluginContract", "Recorder", "StateStoreContract", "Transcript", "answer", "check_events", "codec",
    "deployment", "every_split", "find_manifest", "load", "load_all", "open_gateway", "oracle", "rc", "replay", "request",
    "shape", "summary", "tool_call",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
