"""What the benchmark needs outside this project: environments for bare and LiteLLM, the compiled fake provider, the bench
plugins as an installed distribution. All of it is made once, in BENCH_HOME."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from flit_core import buildapi

KIT = Path(__file__).parent
LITELLM = "litellm[proxy]==1.106.2"


def home() -> Path:
    folder = Path(os.environ.get("BENCH_HOME", KIT.parents[1] / ".nox" / "bench")).absolute()
    for name in ("logs", "results"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


def prepare(targets: list[str]) -> None:
    """Make what is missing for these targets."""
    folder = home()
    if not (folder / "fakeup").exists():
        subprocess.run(["cc", "-O2", "-o", folder / "fakeup", KIT / "fakeup.c"], check=True)
    _environment(folder / "venv-gw", "-r", str(KIT / "requirements.txt"))
    if "litellm" in targets:
        _environment(folder / "venv-litellm", LITELLM)
    _install_plugins(folder / "plugins")


def _environment(folder: Path, *requirements: str) -> None:
    if (folder / "installed").exists() or (folder / "bin" / ("litellm" if "litellm" in folder.name else "hypercorn")).exists():
        return
    print(f"making {folder} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", *requirements], check=True)
    (folder / "installed").touch()


def _install_plugins(folder: Path) -> None:
    """Unpack the wheel: with the folder on PYTHONPATH the plugins are installed, without it they are not."""
    here = Path.cwd()
    os.chdir(KIT / "plugins")
    try:
        with tempfile.TemporaryDirectory() as built, zipfile.ZipFile(Path(built) / buildapi.build_wheel(built)) as wheel:
            wheel.extractall(folder)
    finally:
        os.chdir(here)
