"""The generated master key. Several workers may start at once: the file appears whole or not at all, and the first one wins."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from routeiq_sdk import ConfigError

FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
"""Without O_NONBLOCK a pipe in the file's place would be waited for, for ever."""


def load_or_create(path: Path) -> str:
    """Raises `ConfigError` for a file that others may read or made, or that holds no key."""
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
        descriptor = os.open(path, FLAGS)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"auth_keys: {path} cannot be read: {error.strerror}; delete it to get a new key") from error
    try:
        _check(path, os.fstat(descriptor))
        key = os.read(descriptor, 4096).decode("utf-8", "replace").strip()
    finally:
        os.close(descriptor)
    if not key:
        raise ConfigError(f"auth_keys: {path} is empty; delete it to get a new key")
    return key


def _check(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        kind = "a directory" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise ConfigError(f"auth_keys: {path} is {kind}; delete it to get a new key")
    if os.name == "posix" and found.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"auth_keys: {path} belongs to another user ({found.st_uid}), who knows it; delete it to get a new key, or chown it"
        )
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(f"auth_keys: {path} has mode {mode:04o}, so others may know it; delete it to get a new key, or chmod 600")
