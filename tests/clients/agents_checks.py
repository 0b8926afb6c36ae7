"""Coding agents and `llm`: their real programs run a real command (aider: edit a real file) at the wish of a provider of every format."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from ..integration.harness import KEY, GatewayProcess
from .conversation import Conversation
from .programs import AIDER, BIN, NODE, run

PROGRAMS = NODE / "node_modules" / ".bin"
NAMES = pytest.mark.parametrize("name", ["gateway", "vendor"])
"""Whether the model has a name that the agent does not know, or one of its vendor's, for which it asks otherwise."""


@NAMES
def test_claude_code(gateway: GatewayProcess, conversation: Conversation, tmp_path: Path, name: str) -> None:
    model = conversation.model if name == "gateway" else conversation.claude
    said = run(
        tmp_path, PROGRAMS / "claude", "-p", conversation.prompt, "--allowedTools", "Bash", "--model", model,
        ANTHROPIC_BASE_URL=gateway.url, ANTHROPIC_AUTH_TOKEN=KEY, ANTHROPIC_DEFAULT_HAIKU_MODEL=model, DISABLE_TELEMETRY="1",
        DISABLE_AUTOUPDATER="1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
    )  # fmt: skip
    conversation.check(said)


CODEX = """
model_provider = "gateway"
check_for_update_on_startup = false

[model_providers.gateway]
name = "gateway"
base_url = "{url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""


@NAMES
def test_codex(gateway: GatewayProcess, conversation: Conversation, tmp_path: Path, name: str) -> None:
    model = conversation.model if name == "gateway" else conversation.gpt
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "config.toml").write_text(CODEX.format(url=gateway.url))
    said = run(
        tmp_path, PROGRAMS / "codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "-m", model,
        conversation.prompt, GATEWAY_KEY=KEY,
    )  # fmt: skip
    conversation.check(said)


GEMINI = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
    "privacy": {"usageStatisticsEnabled": False},
}


@NAMES
def test_gemini_cli(gateway: GatewayProcess, conversation: Conversation, tmp_path: Path, name: str) -> None:
    model = conversation.model if name == "gateway" else conversation.gemini
    (tmp_path / ".gemini").mkdir()
    (tmp_path / ".gemini" / "settings.json").write_text(json.dumps(GEMINI))
    said = run(
        tmp_path, PROGRAMS / "gemini", "--skip-trust", "--yolo", "-m", model, "-p", conversation.prompt,
        GEMINI_API_KEY=KEY, GOOGLE_GEMINI_BASE_URL=gateway.url,
    )  # fmt: skip
    conversation.check(said)


FUNCTION = """
def get_weather(city: str) -> str:
    "The weather of a city."
    assert city == "Zürich"
    return f"Sunny in {city}, mark-" + str(42)
"""


def test_llm(gateway: GatewayProcess, conversation: Conversation, tmp_path: Path) -> None:
    model = {"model_id": "gateway", "model_name": conversation.model, "api_base": f"{gateway.url}/v1", "supports_tools": True}
    model["api_key_name"] = "gateway"  # without it the key is not sent
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([model]))
    said = run(
        tmp_path, BIN / "llm", "-m", "gateway", "--key", KEY, "--functions", FUNCTION, conversation.prompt, LLM_USER_PATH=str(tmp_path)
    )  # fmt: skip
    conversation.check(said)


def test_aider(gateway: GatewayProcess, conversation: Conversation, tmp_path: Path) -> None:
    """It has no tools: the provider's text edits the file, twice, and the second request holds the first turn."""
    file = tmp_path / "answer.py"
    file.write_text("x = 1\n")
    for value in (41, 42):
        text = quote_plus(f"Done.\n\nanswer.py\n```\nx = {value}\n```\n")
        run(
            tmp_path, AIDER, "--no-git", "--yes-always", "--no-check-update", "--no-show-model-warnings", "--analytics-disable",
            "--no-show-release-notes", "--no-pretty", "--edit-format", "whole", "--restore-chat-history",
            "--chat-history-file", str(tmp_path / "history.md"),
            "--model", f"openai/{conversation.model}", "--openai-api-base", f"{gateway.url}/v1",
            "--message", f"Change the file. wall:normal?text={text} {conversation.tag}", file.name,
            OPENAI_API_KEY=KEY,
        )  # fmt: skip
        assert file.read_text() == f"x = {value}\n"
    first, second = conversation.wall.all(conversation.tag)
    conversation.check_streamed([first, second])
    assert b"x = 41" not in first.body and b"x = 41" in second.body
