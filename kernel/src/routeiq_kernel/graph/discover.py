"""Find installed plugins by their entry points. Listing imports no plugin; only `manifest` and `development` import code,
and they never import the factory."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from attrs import frozen
from routeiq_sdk import API_VERSION, GraphError, Manifest, RouteIQError

GROUP = "routeiq.plugins"
STANDARD_SET = "routeiq"


@frozen
class Found:
    """An entry point. `value` is `module:attribute` of the manifest; `path` is set for a development file."""

    name: str
    dist: str
    version: str
    value: str
    standard: bool = False
    path: str | None = None

    def __str__(self) -> str:
        return f"plugin {self.name} ({self.path or f'{self.dist} {self.version}'})"


class blame:
    """Whatever goes wrong inside is raised as a `GraphError` that says who did it and the way out. It swallows nothing."""

    def __init__(self, what: str, way_out: str) -> None:
        self.what, self.way_out = what, way_out

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception | SystemExit) and not isinstance(error, RouteIQError):
            raise GraphError(f"{self.what}: {type(error).__name__}: {error}. {self.way_out}") from error


def installed(path: Sequence[str] | None = None) -> dict[str, Found]:
    """Every plugin on `path` (default `sys.path`). Raises `GraphError` naming all pairs of distributions that claim one name."""
    path = list(sys.path if path is None else path)
    dists: dict[str, tuple[metadata.Distribution, str, str]] = {}
    for dist in metadata.distributions(path=path):
        if GROUP in (dist.read_text("entry_points.txt") or ""):  # parsing only what mentions the group keeps listing cheap
            name, version = _name_and_version(dist)
            dists.setdefault(normalised(name), (dist, name, version))  # the first one of a name wins, as for imports
    standard = next(iter(metadata.distributions(name=STANDARD_SET, path=path)), None)
    wanted = _dependencies(standard) if standard else ()
    plugins: dict[str, Found] = {}
    problems = []
    for key, (dist, name, version) in sorted(dists.items()):
        for entry in dist.entry_points.select(group=GROUP):
            found = Found(entry.name, name, version, entry.value, key in wanted)
            first = plugins.setdefault(entry.name, found)
            if first.dist != found.dist:
                both = f"both {first.dist} {first.version} and {found.dist} {found.version} provide it"
                problems.append(f"plugin {entry.name}: {both}. Uninstall one: pip uninstall {found.dist}")
    if problems:
        raise GraphError(*problems)
    return dict(sorted(plugins.items()))


def _name_and_version(dist: metadata.Distribution) -> tuple[str, str]:
    """`dist.name` and `dist.version` each parse all metadata, the README in it included."""
    head = (dist.read_text("METADATA") or "").partition("\n\n")[0]
    name, version = (re.search(rf"^{field}: *(.+)$", head, re.MULTILINE) for field in ("Name", "Version"))
    return (name[1].strip(), version[1].strip()) if name and version else (dist.name, dist.version)


def _dependencies(dist: metadata.Distribution) -> set[str]:
    """Normalised names of the distributions that one depends on, extras left out."""
    split = (text.partition(";") for text in dist.requires or ())
    return {normalised(re.split(r"[^\w.-]", name.strip(), maxsplit=1)[0]) for name, _, marker in split if "extra" not in marker}


def normalised(name: str) -> str:
    """A distribution's name in the one spelling of PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def resolve(reference: str, what: str, way_out: str) -> Any:
    """The object that `module:attribute` names. Raises `GraphError` for whatever happens meanwhile."""
    module, _, attribute = reference.partition(":")
    with blame(f"{what} {reference} failed", way_out):
        return getattr(import_module(module), attribute)


def manifest(found: Found) -> Manifest:
    """Import the manifest's module, which by convention imports the SDK only. Raises `GraphError` naming the plugin."""
    way_out = f"Repair or uninstall {found.path or found.dist}, or leave it out with ROUTEIQ_DISABLE={found.name}"
    value = resolve(found.value, f"{found}: importing its manifest", way_out)
    if not isinstance(value, Manifest):
        raise GraphError(f"{found}: {found.value} is {type(value).__name__}, not a routeiq_sdk.Manifest. {way_out}")
    if value.name != found.name:
        raise GraphError(f"{found}: its manifest says name={value.name!r}. Entry point and manifest must have one name")
    if problem := api_problem(value, str(found)):
        raise GraphError(problem)
    return value


def api_problem(manifest: Manifest, who: str, api: str = API_VERSION) -> str | None:
    """The major must be the kernel's, the minor at most the kernel's."""
    match = re.fullmatch(r"(\d+)\.(\d+)", manifest.api)
    if match is None:
        return f'{who}: api={manifest.api!r} is no version; write major.minor, such as api="{api}"'
    theirs, ours = (int(match[1]), int(match[2])), tuple(int(part) for part in api.split("."))
    if theirs[0] == ours[0] and theirs <= ours:
        return None
    upgrade = "the kernel" if theirs > ours else "the plugin"
    return f"{who} is written for plugin API {manifest.api}; this kernel has {api}. Upgrade {upgrade} or disable the plugin"


def development(path: str) -> tuple[Found, Manifest]:
    """Load one file or package folder that defines `manifest`, under its own module name, as if it were installed."""
    file = Path(path).expanduser().resolve()
    if file.is_dir():
        file /= "__init__.py"
    if not file.is_file():
        packages = [str(each.parent) for each in sorted(file.parent.glob("src/*/__init__.py"))]
        raise GraphError(f"{path}: no such file. {f'Did you mean {packages[0]}?' if packages else 'Name a .py file or a package folder'}")
    name = file.parent.name if file.name == "__init__.py" else file.stem
    with blame(f"{path}: importing it failed", "Repair the file"):
        module = _load(name, file)
    value = getattr(module, "manifest", None)
    if not isinstance(value, Manifest):
        raise GraphError(f'{path}: it must define `manifest = routeiq_sdk.Manifest(name=..., api="{API_VERSION}", factory="{name}:Class")`')
    found = Found(value.name, "development", "0", f"{name}:manifest", path=str(file))
    return found, manifest(found)


def _load(name: str, file: Path) -> ModuleType:
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is not None and spec.origin == str(file):
        return import_module(name)
    if spec is not None or not name.isidentifier():
        raise GraphError(f"{file}: the module name {name!r} is {'taken' if spec else 'no identifier'}. Rename it")
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise GraphError(f"{file}: not Python. Name a .py file or a package folder")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # so that the factory's "module:Class" finds it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
