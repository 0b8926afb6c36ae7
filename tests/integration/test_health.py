"""Liveness, readiness and their aliases."""

from __future__ import annotations

from pathlib import Path

import pytest

from .harness import GatewayProcess, litellm
from .plugins import plugin_folder
from .wall import Wall


@pytest.mark.parametrize("path", ["/_health/live", "/livez", "/health/liveliness"])
def test_liveness_needs_no_key(gateway: GatewayProcess, path: str) -> None:
    with gateway.client(None) as client:
        answer = client.get(path)
    assert answer.status_code == 200 and answer.json()["status"] == "alive"


@pytest.mark.parametrize("path", ["/_health/ready", "/readyz", "/health", "/health/readiness"])
def test_readiness_names_its_checks(gateway: GatewayProcess, path: str) -> None:
    with gateway.client(None) as client:
        answer = client.get(path)
    assert answer.status_code == 200
    assert answer.json()["status"] in ("ready", "degraded")
    assert isinstance(answer.json()["checks"], dict)


CHECKS = """
import asyncio
from routeiq_sdk import Health, HealthCheck, Manifest, hookimpl
manifest = Manifest(name="{name}", api="1.0", factory="{name}:Plugin")

async def check():
    {body}

class Plugin:
    @hookimpl
    def register_health(self):
        return [HealthCheck("the_check", check)]
"""


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ('return Health("degraded", "half of it")', 200, "degraded"),
        ('return Health("failing", "all of it")', 503, "not_ready"),
        ('raise RuntimeError("secret-of-the-check")', 503, "not_ready"),
        ("await asyncio.Event().wait()", 503, "not_ready"),
    ],
    ids=["degraded", "failing", "raises", "hangs"],
)
def test_a_plugins_check_decides_readiness(wall: Wall, tmp_path: Path, body: str, status: int, word: str) -> None:
    env = plugin_folder(tmp_path, checker=CHECKS.format(name="checker", body=body))
    gateway = GatewayProcess(tmp_path, litellm(wall.url), "--plugins", "+checker", env=env)
    gateway.launch()
    try:
        answer = gateway.first_answer("/_health/ready")
        assert answer.status_code == status
        assert answer.json()["status"] == word
        assert answer.json()["checks"]["the_check"]["status"] in ("degraded", "failing")
        assert "secret-of-the-check" not in answer.text
        with gateway.client() as client:
            assert client.get("/_health/live").status_code == 200
    finally:
        gateway.stop()
