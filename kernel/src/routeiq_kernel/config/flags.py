"""The flags that set the kernel's settings, LiteLLM's spellings among them. Imports nothing: a parser needs no configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable

FLAGS: dict[str, tuple[str, ...]] = {
    "config": ("--config", "-c"),
    "kernel.host": ("--host",),
    "kernel.port": ("--port", "-p"),
    "kernel.workers": ("--workers", "-w", "--num_workers"),
    "kernel.plugins": ("--plugins",),
    "kernel.mode": ("--mode",),
    "kernel.server": ("--server",),
    "kernel.state_dir": ("--state-dir",),
    "kernel.log_level": ("--log-level",),
    "kernel.tls.certfile": ("--ssl-certfile", "--ssl_certfile_path"),
    "kernel.tls.keyfile": ("--ssl-keyfile", "--ssl_keyfile_path"),
}
HELP = {
    "config": "configuration file (default: LITELLM_CONFIG_PATH, routeiq.yaml, config.yaml)",
    "kernel.plugins": "a,b | +x,-y | @default | @standard | none | all | path/to/file.py",
}


def add_flags(parser: ArgumentParser, only: Iterable[str] = FLAGS) -> None:
    for path in only:
        help = HELP.get(path, f"sets {path}")
        parser.add_argument(*FLAGS[path], dest=path, metavar=path.rpartition(".")[2].upper(), help=help)


def flags_from(args: Namespace) -> dict[str, Any]:
    """The given flags by setting (`{"kernel.port": "4001"}`). They are text still: `strict` reads them by the setting's type."""
    return {path: value for path in FLAGS if (value := getattr(args, path, None)) is not None}
