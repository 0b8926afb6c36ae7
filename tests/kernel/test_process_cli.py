"""`kernel` as a command: light where it should be, quiet where it should be, and `kernel doctor`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

MAIN = "import sys; from routeiq_kernel.cli.main import main; sys.exit(main())"
HEAVY = {"asyncio", "hypercorn", "importlib.metadata", "msgspec", "pluggy", "routeiq_sdk", "ruamel.yaml", "starlette", "uvloop"}


def kernel(folder: Path, *args: str, before: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    bare = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": os.environ.get("PYTHONPATH", "")} | env
    command = [sys.executable, "-c", before + MAIN, *args]
    return subprocess.run(command, cwd=folder, env=bare, capture_output=True, text=True, timeout=60, check=False)


def doctor(folder: Path, *args: str, config: Any = None, **options: str) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """Exit status, and status and detail of every finding by check."""
    (folder / "config.yaml").write_text(json.dumps(config or {}), "utf-8")
    done = kernel(folder, "doctor", "--json", "--host", "127.0.0.1", "--port", "0", *args, **options)
    assert "Traceback" not in done.stderr, done.stderr
    found: dict[str, list[tuple[str, str]]] = {}
    for row in json.loads(done.stdout):
        found.setdefault(row["check"], []).append((row["status"], row["detail"]))
        assert row["remedy"] or row["status"] == "ok" or row["check"] in ("config", "port", "tls")
    return done.returncode, found


@pytest.mark.parametrize("argument", ["--version", "serve --help", "status --help"])
def test_help_and_version_import_nothing_heavy(tmp_path: Path, argument: str) -> None:
    spy = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
    done = kernel(tmp_path, *argument.split(), before=spy)
    assert done.returncode == 0 and done.stdout
    assert not HEAVY & set(done.stderr.split())


def test_help_names_every_command(tmp_path: Path) -> None:
    done = kernel(tmp_path, "--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("serve", "reload", "status", "stop", "config", "plugins", "doctor", "version"))


@pytest.mark.parametrize(("words", "meant"), [("sevre", "serve"), ("plugins lst", "list")])
def test_a_misspelt_command_gets_the_list_of_them(tmp_path: Path, words: str, meant: str) -> None:
    done = kernel(tmp_path, *words.split())
    assert done.returncode == 2 and "invalid choice" in done.stderr and meant in done.stderr.partition("choose from")[2]


@pytest.mark.parametrize(
    "text",
    [
        "kernel: {prot: 1, plugins: none}\nmodel_list: [{model_name: m}]",
        "plugins: {auth_keys: {nope: 1}, http_client: {nope: 1}}\nmodel_list: [{model_name: m}]",
    ],
)
def test_serve_refuses_a_bad_configuration_with_every_problem_that_check_finds(tmp_path: Path, text: str) -> None:
    (tmp_path / "routeiq.yaml").write_text(text, "utf-8")
    checked = kernel(tmp_path, "config", "check")
    served = kernel(tmp_path, "serve", "--host", "127.0.0.1", "--port", "0")
    assert (checked.returncode, served.returncode) == (1, 78)
    assert checked.stderr.count("error: ") >= 2 and served.stderr == checked.stderr


def test_installed_packages_add_commands(tmp_path: Path) -> None:
    info = tmp_path / "acme-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[routeiq.commands]\ngreet = acme:add_parser\nbroken = nowhere:add_parser\n")
    add = "    subparsers.add_parser('greet', help='greets').set_defaults(func=lambda args: print('hello') or 3)\n"
    (tmp_path / "acme.py").write_text(f"def add_parser(subparsers):\n{add}")
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    done = kernel(tmp_path, "greet", PYTHONPATH=path)
    assert (done.stdout, done.returncode) == ("hello\n", 3)
    assert "command broken of nowhere:add_parser cannot be loaded" in done.stderr
    assert "greet" in kernel(tmp_path, "--help", PYTHONPATH=path).stdout


def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", MAIN, "doctor"]
    done = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writing)
    assert done.returncode == 1 and done.stderr == ""


@pytest.mark.parametrize("verb", ["reload", "status", "stop"])
def test_commands_say_when_no_gateway_runs(tmp_path: Path, verb: str) -> None:
    (tmp_path / "config.yaml").write_text("kernel: [", "utf-8")
    done = kernel(tmp_path, verb)
    assert done.returncode == 1 and done.stderr.startswith("error: no gateway runs with the state directory")
    assert "no gateway answers" in kernel(tmp_path, verb, "--port", "4000").stderr


def test_doctor_finds_nothing_wrong_with_a_good_machine(tmp_path: Path) -> None:
    code, found = doctor(tmp_path, "--plugins", "none")
    assert code == 0
    assert {status for rows in found.values() for status, _ in rows} <= {"ok", "warn"}
    assert set(found) == {"config", "open files", "state dir", "port"}


def test_doctor_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    bases = ("http://127.0.0.1:1/v1", "http://no.invalid/v1")
    models = [{"model_name": "m", "litellm_params": {"model": "openai/m", "api_base": base}} for base in bases]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        config = {"model_list": models, "kernel": {"max_concurrent_requests": 10_000_000}}
        code, found = doctor(tmp_path, "--port", port, "--state-dir", str(tmp_path / "taken"), "--plugins", "no_such", config=config)
    assert code == 1
    for check in ("config", "port", "state dir", "open files"):
        assert [status for status, _ in found[check]] == ["fail"], found[check]
    assert "no_such" in found["config"][0][1] and port in found["port"][0][1]
    assert [status for status, _ in found["dns"]] == ["ok", "fail"] and found["dns"][1][1].startswith("no.invalid")


def test_doctor_warns_of_a_state_directory_that_others_can_read(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    _, found = doctor(tmp_path, "--plugins", "none", ROUTEIQ_STATE_DIR="state")
    assert found["state dir"][0][0] == "warn"


@pytest.mark.parametrize(("days", "status"), [(-2, "fail"), (3, "warn"), (90, "ok")])
def test_doctor_reads_the_certificates_end(tmp_path: Path, days: int, status: str) -> None:
    end = datetime.now(UTC) + timedelta(days=days, hours=1)
    file = tmp_path / "server.pem"
    trustme.CA().issue_cert("localhost", not_after=end).private_key_and_cert_chain_pem.write_to_path(str(file))
    code, found = doctor(tmp_path, "--plugins", "none", "--ssl-certfile", str(file))
    assert [row[0] for row in found["tls"]] == [status]
    assert code == (status == "fail")


def test_a_certificate_without_its_key_is_said_by_doctor_and_at_start(tmp_path: Path) -> None:
    one, other = tmp_path / "one.pem", tmp_path / "other.pem"
    trustme.CA().issue_cert("localhost").cert_chain_pems[0].write_to_path(str(one))
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(str(other))
    flags = ("--plugins", "none", "--ssl-certfile", str(one), "--ssl-keyfile", str(other))
    code, found = doctor(tmp_path, *flags)
    assert code == 1 and found["tls"][0][0] == "fail" and "MISMATCH" in found["tls"][0][1].upper()
    served = kernel(tmp_path, "serve", "--port", "0", *flags)
    assert served.returncode == 78 and served.stderr.startswith("error: kernel.tls: certificate")
