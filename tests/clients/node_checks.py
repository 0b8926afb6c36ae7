"""The vendors' Node clients and the Vercel AI SDK: a streamed tool conversation with a provider of every format."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ..integration.harness import KEY, GatewayProcess
from .conversation import Conversation
from .programs import BIN, NODE, run

SCRIPTS = Path(__file__).parent / "node"
CLIENTS = [
    *(("openai", format) for format in ("openai", "responses")),
    ("anthropic", "anthropic"),
    ("genai", "gemini"),
    *(("ai", format) for format in ("openai", "responses", "anthropic", "gemini")),
]


@pytest.fixture(scope="session")
def scripts() -> Path:
    """The scripts beside what they import."""
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, NODE)
    return NODE


@pytest.mark.parametrize(("client", "format"), CLIENTS)
def test_a_node_client_talks(
    gateway: GatewayProcess, conversation: Conversation, scripts: Path, tmp_path: Path, client: str, format: str
) -> None:
    said = run(tmp_path, BIN / "node", scripts / f"{client}.mjs", gateway.url, KEY, format, conversation.model, conversation.prompt)
    conversation.check(said)
