"""The project's checks, one session each. `nox -l` lists them.

Sessions without an environment of their own use the one that nox runs in (made by `pip install -r requirements-dev.txt`);
`lowest`, `litellm`, `clients`, `wheels`, `deploy` and `docs` make theirs.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

import nox

ROOT = Path(__file__).parent
MEMBERS = [ROOT / "plugin_sdk", ROOT / "kernel", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
EXAMPLE = ROOT / "examples" / "routeiq-badwords"
LOCK = ROOT / "constraints.txt"
BENCH_HOME = Path(os.environ.get("BENCH_HOME", ROOT / ".nox" / "bench"))

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "types", "imports", "tests"]


def python(session: nox.Session, *args: str | Path, **options: object) -> None:
    """Run the interpreter that runs nox."""
    session.run(sys.executable, *map(str, args), external=True, **options)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """ruff: rules and format."""
    python(session, "-m", "ruff", "check", ".")
    python(session, "-m", "ruff", "format", "--check", ".")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """mypy, strict, of the SDK and the kernel."""
    python(session, "-m", "mypy")


@nox.session(venv_backend="none")
def imports(session: nox.Session) -> None:
    """import-linter: who may import whom."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contracts = {f"importlinter:contract:{number}": contract for number, contract in enumerate(rules.pop("contracts"))}
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        for section, options in {"importlinter": rules, **contracts}.items():
            lines = [f"{name} = {_ini(value)}" for name, value in options.items()]
            file.write("\n".join([f"[{section}]", *lines, ""]) + "\n")
        file.flush()
        session.run(str(Path(sys.executable).with_name("lint-imports")), "--config", file.name, external=True)


def _ini(value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    plugins = [f"routeiq_{path.parent.name}" for path in sorted(ROOT.glob("plugins/*/pyproject.toml")) if path.parent.name != "standard"]
    return "".join(f"\n    {name}" for item in value for name in (plugins if item == "<plugins>" else [item]))


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """All tests, in this environment."""
    python(session, "-m", "pytest", *session.posargs)


@nox.session(venv_backend="none")
def fuzz(session: nox.Session) -> None:
    """The property tests with thousands of new examples."""
    python(
        session, "-m", "pytest", "-q", "-k", "properties or mutat or split or abab", *session.posargs, env={"HYPOTHESIS_PROFILE": "fuzz"}
    )


@nox.session(venv_backend="none")
def chaos(session: nox.Session) -> None:
    """Sixteen faults of providers and those of the network, and a scorecard. CHAOS_FULL=1 takes their real times: two minutes."""
    python(session, "-m", "tests.chaos", *session.posargs)


@nox.session(venv_backend="none")
def contract(session: nox.Session) -> None:
    """The contract kit on every first-party plugin."""
    python(session, "-m", "pytest", *ROOT.glob("plugins/*/tests/test_contract.py"), *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests with the oldest versions that the members' metadata allow."""
    session.install("--resolution", "lowest-direct", *_editable("plugin_sdk[testing]", "kernel[uvicorn]"), "-r", "tests/lowest.txt")
    session.run("python", "-m", "pytest", "tests/kernel", "tests/sdk", "tests/conformance", "plugins", *session.posargs)


@nox.session
def clients(session: nox.Session) -> None:
    """Real clients and coding agents, from PyPI and npm, with a provider of every format. Needs the network and 2.2 GB."""
    home = Path(session.create_tmp()).absolute()
    node, aider = home / "node", home / "aider"
    session.install(*_editable("plugin_sdk[testing]"), "-r", "tests/clients/requirements.txt")
    node.mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests" / "clients" / "package.json", node)
    session.run("npm", "install", "--prefix", str(node), "--no-audit", "--no-fund", "--no-package-lock")
    python(session, "-m", "uv", "venv", "-q", "--clear", "--python", sys.executable, aider)
    python(session, "-m", "uv", "pip", "install", "-q", "--python", aider, "-r", ROOT / "tests" / "clients" / "requirements-aider.txt")
    where = {"CLIENTS_NODE": str(node), "CLIENTS_AIDER": str(aider / "bin" / "aider")}
    options = ("-o", "python_files=*_checks.py", "-o", "filterwarnings=default", "--disable-warnings", "--confcutdir", "tests/clients")
    session.run("python", "-m", "pytest", *options, *(session.posargs or ["tests/clients"]), env=where)


@nox.session(venv_backend="none")
def build(session: nox.Session) -> None:
    """Wheels and source archives of every member, in dist/."""
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    for member in MEMBERS:
        python(session, "-m", "build", "--no-isolation", "--outdir", "dist", member, silent=True)


@nox.session
def wheels(session: nox.Session) -> None:
    """Install the wheels of all members in a fresh environment, away from the tree, and use them."""
    with tempfile.TemporaryDirectory() as folder:
        for member in [*MEMBERS, EXAMPLE]:
            python(session, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, member, silent=True)
        session.install("--find-links", folder, "-c", LOCK, "routeiq", "routeiq-badwords[test]")
        for name in ("smoke.py", "test_badwords.py"):
            source = EXAMPLE / "tests" / name if name.startswith("test_") else ROOT / "tests" / "wheels" / name
            shutil.copy(source, folder)
        session.chdir(folder)
        session.run("python", "smoke.py", env={"PYTHONPATH": ""})
        session.run(
            "python", "-m", "pytest", "-q", "-o", "anyio_mode=auto", "-p", "no:cacheprovider", "test_badwords.py", env={"PYTHONPATH": ""}
        )


@nox.session
def litellm(session: nox.Session) -> None:
    """`provider_litellm` with the SDK, whose pin asks for another OpenAI SDK than the tests of this environment."""
    session.install(*_editable("plugin_sdk[testing]", "plugins/provider_litellm[sdk]"), "-r", "tests/litellm/requirements.txt")
    session.run("python", "-m", "pytest", "-o", "python_files=*_checks.py", "tests/litellm", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, warnings are errors; run the examples of README and docs."""
    session.install("-r", "requirements-docs.txt")
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html")
    python(session, "-m", "pytest", "-q", "tests/docs")


@nox.session
def deploy(session: nox.Session) -> None:
    """Lint the Containerfile; lint, render and validate the chart."""
    session.install("-r", "tests/deploy/requirements.txt")
    session.run("hadolint", "containers/Containerfile")
    session.run("python", "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "--noconftest", "tests/deploy/chart_checks.py")


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Measure every limit of docs/reference/limits.md beside the bare proxy and LiteLLM. About 40 minutes.

    Environments, results and logs go to BENCH_HOME. `nox -s bench -- --rounds 1 --targets routeiq,bare` is a short look.
    """
    missing = [tool for tool in ("cc", "wrk", "taskset") if not shutil.which(tool)]
    if missing:
        session.error(f"the benchmark needs {', '.join(missing)} on PATH (Debian: apt-get install gcc wrk util-linux)")
    python(session, "-m", "tests.bench", *session.posargs, env={"BENCH_HOME": str(BENCH_HOME)})


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Write constraints.txt anew from what the members and the requirements files ask for."""
    asked = [
        ROOT / name
        for name in ("requirements-dev.txt", "requirements-docs.txt", "tests/deploy/requirements.txt", "tests/bench/requirements.txt")
    ]
    lines = [
        line
        for path in (ROOT / "requirements.txt", *asked)
        for line in path.read_text().splitlines()
        if not line.startswith(("-c", "-r", "#"))
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".in", dir=ROOT) as wanted:
        wanted.write("\n".join(lines))
        wanted.flush()
        options = (
            "--universal",
            "--python-version",
            "3.11",
            "--no-annotate",
            "--no-header",
            "--no-emit-index-url",
            "--no-emit-find-links",
            "--upgrade",
        )
        out = session.run(sys.executable, "-m", "uv", "pip", "compile", *options, "-q", wanted.name, external=True, silent=True)
    pins = [line for line in str(out).splitlines() if re.match(r"[a-z0-9]", line)]
    LOCK.write_text("# The versions everything is tested with. Written by `nox -s lock`.\n" + "\n".join(pins) + "\n")


def _editable(*extra: str) -> list[str]:
    names = [str(member.relative_to(ROOT)) for member in MEMBERS]
    return [part for name in (*names, *extra) for part in ("-e", f"./{name}")]
