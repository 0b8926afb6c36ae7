"""`kernel config …` as an operator runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FILE = """\
model_list:
- model_name: gpt
  litellm_params: {model: openai/gpt-4o, api_key: sk-secret, aws_secret_access_key: sk-secret, max_tokens: 100, api_base: "http://u:sk-secret@h/v1"}
general_settings: {master_key: sk-secret}
litellm_settings: {request_timeout: 33, callbacks: [x], cache_params: {password: sk-secret}}
kernel: {port: 4001, admin_api_keys: [sk-secret], tls: {certfile: c.pem, keyfile_password: os.environ/PASSWORD}, plugins: none}
"""


def run(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "routeiq_kernel.cli.main", "config", *arguments]
    return subprocess.run(
        program, cwd=folder, env={"PATH": "/usr/bin", "PASSWORD": "sk-secret", **environ}, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "routeiq.yaml").write_text(FILE)
    return tmp_path


def test_check_says_ok_with_warnings(folder: Path) -> None:
    model = "{model_name: m, litellm_params: {model: openai/m, api_base: http://h/v1}}"
    (folder / "routeiq.yaml").write_text(f"model_list: [{model}]\nlitellm_settings: {{callbacks: [x]}}\n")
    done = run(folder, "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "warning: litellm_settings.callbacks: no enabled plugin supports this LiteLLM setting yet" in done.stdout
    assert done.stdout.endswith("OK: routeiq.yaml\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model_list: [{model_name: m, litellm_params: {model: azurr/m}}]", "no enabled plugin provides 'azurr'"),
        ("router_settings: {routing_strategy: luckiest}", "no enabled plugin registers 'luckiest'"),
        ("model_list: [{model_name: m, litellm_params: {model: openai/m}}]", "no api_key"),
    ],
)
def test_check_finds_what_serving_would_refuse(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "routeiq.yaml").write_text(text)
    done = run(tmp_path, "check")
    assert done.returncode == 1
    assert problem in done.stderr


def test_check_without_a_file_is_fine(tmp_path: Path) -> None:
    assert run(tmp_path, "check", "--plugins", "none").stdout == "OK: no configuration file\n"


def test_check_reports_every_problem_and_fails(folder: Path) -> None:
    (folder / "bad.yaml").write_text("kernel: {prot: 1, workers: x, plugins: none}\nplugins: {absent: {}}\nmodel_list: [{model_name: m}]\n")
    done = run(folder, "check", "--config", "bad.yaml")
    assert done.returncode == 1
    for problem in (
        "kernel.prot: unknown key; did you mean port? (bad.yaml:1)",
        "kernel.workers: expected int, got str 'x'",
        "model_list.0: litellm_params is missing",
    ):
        assert f"error: {problem}" in done.stderr
    done = run(folder, "check", "--config", "bad.yaml", "--json")
    assert done.returncode == 1 and len(json.loads(done.stdout)["problems"]) >= 3


def test_check_names_file_and_line_of_bad_yaml(folder: Path) -> None:
    (folder / "bad.yaml").write_text("kernel:\n\tport: 1\n")
    done = run(folder, "check", LITELLM_CONFIG_PATH="bad.yaml")
    assert done.returncode == 1 and done.stderr.startswith("error: bad.yaml:2: ")


def test_show_says_where_each_value_came_from_and_masks_secrets(folder: Path) -> None:
    done = run(folder, "show", "--workers", "2", "--json", LITELLM_HOST="h", ADMIN_API_KEY="sk-secret")
    shown = json.loads(done.stdout)
    assert shown["kernel.port"] == {"value": 4001, "source": "routeiq.yaml:6"}
    assert shown["kernel.workers"] == {"value": 2, "source": "flag --workers"}
    assert shown["kernel.host"] == {"value": "h", "source": "environment LITELLM_HOST"}
    assert shown["kernel.timeouts.attempt_s"] == {"value": 33.0, "source": "routeiq.yaml:5"}
    assert shown["kernel.timeouts.idle_s"] == {"value": 30.0, "source": "default"}
    assert shown["kernel.tls.keyfile_password"] == {"value": "***", "source": "environment PASSWORD, routeiq.yaml:6"}
    assert shown["model_list.0.litellm_params.max_tokens"]["value"] == 100
    assert shown["model_list.0.litellm_params.api_base"]["value"] == "http://***@h/v1"
    assert shown["kernel.admin_api_keys"]["value"] == ["***"]
    assert "sk-secret" not in done.stdout + run(folder, "show").stdout


@pytest.mark.parametrize("headers", ['{Cookie: "s=HIDDEN", helicone-auth: "Bearer HIDDEN", x-a: [HIDDEN]}', '\'{"a": "HIDDEN"}\''])
def test_show_hides_every_value_of_headers_and_variables(tmp_path: Path, headers: str) -> None:
    (tmp_path / "routeiq.yaml").write_text(
        f"model_list: [{{model_name: m, litellm_params: {{model: openai/m, api_key: k, extra_headers: {headers}}}}}]\n"
        f"router_settings: {{default_litellm_params: {{extra_headers: {{X: HIDDEN}}}}}}\n"
        "environment_variables: {PGPASS: HIDDEN, NUMBER: 4711, OTHER: os.environ/HOME}\n",
        "utf-8",
    )
    done = run(tmp_path, "show", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["environment_variables.PGPASS"]["value"] == "***"
    assert "HIDDEN" not in done.stdout and "4711" not in done.stdout
    assert "HIDDEN" not in run(tmp_path, "explain", "model_list").stdout


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("kernel.port", "kernel.port\n  value:    4001\n  source:   routeiq.yaml:6\n  type:     int >= 0 <= 65535\n  default:  4000\n"),
        ("port", "kernel.port\n"),
        ("LITELLM_PORT", "kernel.port\n"),
        ("litellm_settings.request_timeout", "kernel.timeouts.attempt_s\n  value:    33.0\n"),
        ("general_settings.master_key", 'general_settings.master_key\n  value:    "***"\n'),
        ("kernel.tls", "kernel.tls.certfile\n"),
        ("router_settings.cooldown_time", "router_settings.cooldown_time: a setting of LiteLLM that is not set here"),
    ],
)
def test_explain_finds_a_setting_by_any_of_its_names(folder: Path, key: str, text: str) -> None:
    done = run(folder, "explain", key)
    assert (done.returncode, done.stdout[: len(text)]) == (0, text)


def test_explain_names_the_nearest_setting(folder: Path) -> None:
    done = run(folder, "explain", "kernel.prot")
    assert (done.returncode, done.stderr) == (1, "error: kernel.prot: no such setting; did you mean kernel.port?\n")


def test_schema_describes_the_kernel_and_accepts_references(folder: Path) -> None:
    schema = json.loads(run(folder, "schema").stdout)
    kernel = schema["properties"]["kernel"]
    assert kernel["additionalProperties"] is False
    assert kernel["properties"]["port"]["description"] == "port to listen on; 0 takes a free one"
    assert {"type": "string", "pattern": "^os.environ/"} in kernel["properties"]["port"]["anyOf"]
    assert kernel["properties"]["mode"]["anyOf"][0]["enum"] == ["development", "production"]
    assert schema["properties"]["model_list"]["items"]["required"] == ["model_name", "litellm_params"]
