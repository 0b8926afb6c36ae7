"""Clients that are programs of their own: run with a bare environment and a time limit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

BIN = Path(sys.executable).parent
NODE = Path(os.environ["CLIENTS_NODE"])
"""Where `npm install` was run."""
AIDER = Path(os.environ["CLIENTS_AIDER"])
LIMIT_S = 110


def run(home: Path, *command: str | Path, **env: str) -> str:
    """What it says on standard output. Fails with all that it said if it fails."""
    bare: Mapping[str, str] = {"PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "NO_COLOR": "1", **env}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=home,
        env=bare,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout
