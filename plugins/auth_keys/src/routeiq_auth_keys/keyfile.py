"""The generated master key. Several workers may start at once: the file appears whole or not at all, and the first one wins."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from routeiq_sdk import ConfigError


def load_or_create(path: Path) -> str:
    """Raises `ConfigError` for a file that others may read, or that holds no key."""
    try:
        return _load(path)
    except FileNotFoundError:
        pass
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"sk-riq-{secrets.token_urlsafe(32)}\n")
        os.link(draft, path)
    except FileExistsError:
        pass  # another worker was first
    except OSError as error:
        raise ConfigError(f"auth_keys: {path} cannot be written: {error.strerror}; set LITELLM_MASTER_KEY or ROUTEIQ_STATE_DIR") from error
    finally:
        draft.unlink(missing_ok=True)
    return _load(path)


def _load(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"auth_keys: {path} cannot be read: {error.strerror}; delete it to get a new key") from error
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if os.name == "posix" and mode & 0o077:
            raise ConfigError(f"auth_keys: {path} has mode {mode:04o}, so others may know it; delete it to get a new key, or chmod 600")
        key = file.read(4096).strip()
    if not key:
        raise ConfigError(f"auth_keys: {path} is empty; delete it to get a new key")
    return key
