"""What an operator sees: start-up lines, logs, checks of the configuration and the surroundings."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from .harness import KEY, GatewayProcess, chat, litellm, run_kernel
from .wall import Wall


def test_without_any_configuration_it_serves_the_demo_model_with_a_key_of_its_own(tmp_path: Path) -> None:
    """The README's first minute: start, copy the curl line, get an answer."""
    with GatewayProcess(tmp_path, None) as gateway:
        lines = gateway.logs()
        key = re.search(r"Bearer (sk-[\w-]+)", lines)
        assert key, lines
        command = re.search(r"curl [^\n]*(?:\\\n[^\n]*)*", lines)
        assert command, lines
        done = subprocess.run(["bash", "-c", command.group()], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["choices"][0]["message"]["content"]
        kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file() and key.group(1) in path.read_text("utf-8", "replace")]
        assert kept and all(path.stat().st_mode & 0o077 == 0 for path in kept)
    gateway.log.unlink()
    with gateway, gateway.client(key.group(1)) as client:
        assert client.post("/v1/chat/completions", json=chat("Hello.", "demo")).status_code == 200


def test_in_production_no_key_is_made_up(tmp_path: Path) -> None:
    code, said = GatewayProcess(tmp_path, {"kernel": {"mode": "production"}}).fails()
    assert code != 0 and "master_key" in said


def test_start_up_says_what_is_served_where_with_which_key_and_plugins(gateway: GatewayProcess) -> None:
    said = "\n".join(gateway.logs().splitlines()[:40])
    for word in (str(gateway.port), "gpt", "claude", "format_openai", "auth_keys"):
        assert word in said
    assert KEY not in said and "sk-one" not in said


def test_log_lines_are_json(impatient: GatewayProcess) -> None:
    with impatient.client() as client:
        client.post("/v1/chat/completions", json=chat("wall:html"))
    lines = [line for line in impatient.logs().splitlines() if line.startswith("{")]
    assert lines
    for line in lines:
        assert {"time", "level", "message"} <= json.loads(line).keys()


BAD = {
    "unknown kernel key": ("kernel:\n  prot: 1\n", ["kernel.prot", "config.yaml:2", "port"]),
    "wrong type": ("kernel:\n\n  workers: '2'\n", ["kernel.workers", "config.yaml:3"]),
    "bool from a word": ("kernel:\n  debug_headers: no\n", ["kernel.debug_headers", "config.yaml:2"]),
    "integer from a fraction": ("kernel:\n  workers: 2.9\n", ["kernel.workers", "config.yaml:2"]),
    "unknown section": ("plugins:\n  auth_kez: {}\n", ["auth_kez", "auth_keys"]),
    "not YAML": ("kernel: [\n", ["config.yaml"]),
    "missing variable": ("general_settings:\n  master_key: os.environ/NOT_SET_ANYWHERE\n", ["NOT_SET_ANYWHERE"]),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_wrong_configuration_is_refused_with_its_place_and_the_way_out(tmp_path: Path, name: str) -> None:
    text, words = BAD[name]
    (tmp_path / "config.yaml").write_text(text, "utf-8")
    checked = run_kernel(tmp_path, "config", "check")
    served = run_kernel(tmp_path, "serve", "--port", "0")
    for done in (checked, served):
        assert done.returncode != 0
        for word in words:
            assert word in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_unsupported_litellm_keys_warn_by_name_and_a_good_file_is_ok(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "litellm_settings:\n  success_callback: [langfuse]\ngeneral_settings:\n  master_key: sk-1\n", "utf-8"
    )
    done = run_kernel(tmp_path, "config", "check")
    assert done.returncode == 0, done.stderr
    assert "success_callback" in done.stdout + done.stderr and "OK" in done.stdout


def test_show_and_explain_say_where_a_value_came_from_and_hide_secrets(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("kernel:\n  workers: 3\ngeneral_settings:\n  master_key: sk-the-secret\n", "utf-8")
    env = {"LITELLM_PORT": "4321"}
    shown = run_kernel(tmp_path, "config", "show", env=env)
    assert shown.returncode == 0, shown.stderr
    assert "sk-the-secret" not in shown.stdout
    workers = run_kernel(tmp_path, "config", "explain", "kernel.workers", env=env)
    assert "3" in workers.stdout and "config.yaml:2" in workers.stdout
    port = run_kernel(tmp_path, "config", "explain", "kernel.port", env=env)
    assert "4321" in port.stdout and "LITELLM_PORT" in port.stdout


def test_the_schema_is_json_and_knows_the_plugins(tmp_path: Path) -> None:
    done = run_kernel(tmp_path, "config", "schema")
    assert done.returncode == 0, done.stderr
    assert "auth_keys" in json.dumps(json.loads(done.stdout))


def test_doctor_checks_the_surroundings(tmp_path: Path, wall: Wall) -> None:
    (tmp_path / "config.yaml").write_text(json.dumps(litellm(wall.url)), "utf-8")
    done = run_kernel(tmp_path, "doctor")
    assert done.stdout.strip() and "Traceback" not in done.stderr


def test_version_and_help_answer(tmp_path: Path) -> None:
    assert re.search(r"\d+\.\d+", run_kernel(tmp_path, "version").stdout)
    shown = run_kernel(tmp_path, "--help")
    assert shown.returncode == 0
    for word in ("serve", "reload", "status", "config", "plugins", "doctor", "version"):
        assert word in shown.stdout


def test_a_port_in_use_is_said_plainly(gateway: GatewayProcess, tmp_path: Path) -> None:
    done = run_kernel(tmp_path, "serve", "--host", "127.0.0.1", "--port", str(gateway.port))
    assert done.returncode != 0 and str(gateway.port) in done.stderr and "Traceback" not in done.stderr


def test_a_base_path_prefixes_everything(wall: Wall, tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, litellm(wall.url, base_path="/llm"))
    gateway.launch()
    try:
        assert gateway.first_answer("/llm/_health/ready").status_code == 200
        with gateway.client() as client:
            assert client.post("/llm/v1/chat/completions", json=chat("Hello.")).status_code == 200
            assert client.post("/v1/chat/completions", json=chat("Hello.")).status_code == 404
    finally:
        gateway.stop()


@pytest.mark.parametrize(("origins", "allowed"), [([], None), (["https://app.example"], "https://app.example")])
def test_cors_is_closed_unless_opened(wall: Wall, tmp_path: Path, origins: list[str], allowed: str | None) -> None:
    with GatewayProcess(tmp_path, litellm(wall.url, cors={"origins": origins})) as gateway:
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
        for origin in ("https://app.example", "https://evil.example"):
            preflight = httpx.options(f"{gateway.url}/v1/chat/completions", headers={"origin": origin, **asked}, trust_env=False)
            expected = allowed if origin == "https://app.example" else None
            assert preflight.headers.get("access-control-allow-origin") == expected and preflight.headers["x-request-id"]
            for method in ("PUT", "PATCH", "DELETE"):
                preflight = httpx.options(
                    f"{gateway.url}/openai/v1/any",
                    headers={"origin": origin, **asked, "access-control-request-method": method},
                    trust_env=False,
                )
                assert preflight.is_success is (expected is not None)
            with gateway.client(headers={"origin": origin}) as client:
                answer = client.post("/v1/chat/completions", json=chat("Hello."))
            assert answer.headers.get("access-control-allow-origin") == expected


def test_it_serves_tls_from_files(wall: Wall, tmp_path: Path) -> None:
    import ssl

    import trustme

    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    files = {"certfile": str(tmp_path / "server.pem"), "keyfile": str(tmp_path / "server.pem")}
    gateway = GatewayProcess(tmp_path, litellm(wall.url, tls=files))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    gateway.url = gateway.url.replace("http:", "https:")
    gateway.launch()
    try:
        gateway.first_answer("/_health/live", verify=context)
        with httpx.Client(base_url=gateway.url, verify=context, headers={"authorization": f"Bearer {KEY}"}, trust_env=False) as client:
            answer = client.post("/v1/chat/completions", json=chat("Hello.", stream=True))
        assert answer.status_code == 200 and b"[DONE]" in answer.content
    finally:
        gateway.stop()
