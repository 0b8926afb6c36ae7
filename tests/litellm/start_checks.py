"""When the SDK is imported, what it does then, and that its names are those that the plugin registers."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from routeiq_provider_http.table import PROVIDERS
from routeiq_provider_litellm.names import DIRECT, NO_PROVIDERS, known, registered

from ..integration.harness import KEY, GatewayProcess
from ..integration.wall import Wall
from .conftest import models

OFFLINE = """
import socket, sys
tried = []
def refuse(self, address, *rest):
    tried.append(address)
    raise OSError("no network here")
socket.socket.connect = socket.socket.connect_ex = refuse
def resolve(*args, **options):
    tried.append(args)
    raise OSError("no names here")
socket.getaddrinfo = resolve
from routeiq_provider_litellm.sdk import load
module = load(0.0)
print(len(tried), module.telemetry, module.drop_params, module.disable_hf_tokenizer_download)
"""


def run(code: str, folder: Path) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=True).stdout.strip()


def test_the_import_uses_no_network(tmp_path: Path) -> None:
    assert run(OFFLINE, tmp_path) == "0 False False True"


def test_an_env_file_beside_the_gateway_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ROUTEIQ_OF_A_FILE=yes\n")
    assert (
        run("from routeiq_provider_litellm.sdk import load; load(0.0); import os; print('ROUTEIQ_OF_A_FILE' in os.environ)", tmp_path)
        == "False"
    )


def test_registering_imports_no_sdk(tmp_path: Path) -> None:
    code = """
import sys
from routeiq_provider_litellm.plugin import Config, LiteLlmProviders
providers = LiteLlmProviders(Config()).register_providers()
print(len(list(providers)) > 100, "litellm" in sys.modules)
"""
    assert run(code, tmp_path) == "True False"


def test_the_names_are_those_of_the_installed_sdk(tmp_path: Path) -> None:
    code = """
from routeiq_provider_litellm.sdk import load
load(0.0)
from litellm.types.utils import LlmProviders
print(*sorted(each.value for each in LlmProviders))
"""
    assert tuple(run(code, tmp_path).split()) == known()


def test_the_accounts_that_are_left_out_are_those_of_the_installed_sdk(tmp_path: Path) -> None:
    code = """
from routeiq_provider_litellm.sdk import NO_ACCOUNTS, load
load(0.0)
from litellm.litellm_core_utils.litellm_logging import Logging
print([name for name in NO_ACCOUNTS if not callable(getattr(Logging, name, None))])
"""
    assert run(code, tmp_path) == "[]"


def test_what_is_reached_directly_is_not_registered_twice() -> None:
    direct = {row.name for row in PROVIDERS}
    assert direct == DIRECT
    assert direct.isdisjoint(registered()) and set(known()) <= direct | NO_PROVIDERS | set(registered())


def test_the_sdk_is_the_version_that_the_plugin_pins() -> None:
    (pin,) = [text for text in metadata.requires("routeiq-provider-litellm") or () if text.startswith("litellm")]
    assert pin.partition(";")[0].strip().removeprefix("litellm==") == metadata.version("litellm")


def test_a_gateway_without_such_a_deployment_stays_small(wall: Wall, tmp_path: Path) -> None:
    entries = [entry for entry in models(wall.url) if entry["model_name"] == "plain"]
    with GatewayProcess(tmp_path, {"model_list": entries, "general_settings": {"master_key": KEY}}) as gateway:
        mapped = [Path(f"/proc/{pid}/maps").read_text() for pid in gateway.workers()]
        assert mapped and not any("packages/litellm" in text or "tiktoken" in text for text in mapped)
        assert gateway.memory_mb() < 200
