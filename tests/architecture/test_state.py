"""No module state: what a process knows hangs off one graph that a request holds."""

from __future__ import annotations

import ast

from .tree import Source, everything, shipped

CONTAINERS = {
    "list",
    "dict",
    "set",
    "bytearray",
    "deque",
    "defaultdict",
    "OrderedDict",
    "Counter",
    "WeakSet",
    "WeakKeyDictionary",
    "WeakValueDictionary",
}
MUTATORS = {"append", "add", "update", "setdefault", "pop", "popitem", "clear", "extend", "insert", "remove", "discard", "appendleft"}
CONFIG = "kernel/src/routeiq_kernel/config/"
CATCH_ALL = {"kernel/src/routeiq_kernel/runtime/guard.py", "kernel/src/routeiq_kernel/web/errors.py"}


def test_nothing_uses_the_global_statement() -> None:
    assert [source.at(node) for source in everything() for node in source.find(ast.Global)] == []


SETS_ENVIRONMENT = "plugins/provider_litellm/src/routeiq_provider_litellm/sdk.py"
"""LiteLLM takes settings from there alone, at its import. The file writes, and reads nothing."""


def test_the_environment_is_read_in_the_kernels_config_package_only() -> None:
    found = [
        source.at(node)
        for source in shipped()
        if not source.name.startswith(CONFIG)
        for node in source.find(ast.Attribute)
        if _environment(node)
        and not (source.name == SETS_ENVIRONMENT and source.text.count("os.environ") == source.text.count("os.environ.update("))
    ]
    names = [
        source.at(node)
        for source in shipped()
        if not source.name.startswith(CONFIG)
        for node in source.find(ast.ImportFrom)
        if node.module == "os" and {"environ", "getenv", "environb"} & {alias.name for alias in node.names}
    ]
    assert found + names == []


def test_only_the_guard_and_the_error_boundary_catch_every_exception() -> None:
    found = [
        source.at(node)
        for source in shipped()
        if source.name not in CATCH_ALL
        for node in source.find(ast.ExceptHandler)
        if _catches_all(node)
    ]
    assert found == []


def test_no_module_holds_a_container_that_changes() -> None:
    assert [place for source in shipped() for place in _mutable_containers(source)] == []


def test_no_function_keeps_a_singleton() -> None:
    """A cached function without arguments, or a `reset_x` beside it, is a global in disguise."""
    found = []
    for source in shipped():
        for node in source.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                cached = any("cache" in ast.unparse(each) for each in node.decorator_list) and not (node.args.args or node.args.kwonlyargs)
                found += [f"{source.at(node)} {node.name}"] if cached or node.name.startswith("reset_") else []
    assert found == []


def test_importing_a_module_does_no_work() -> None:
    """No loops, no `with`, no calls for their effect at module level."""
    found = []
    for source in shipped():
        for node in source.tree.body:
            call = isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
            if call or isinstance(node, ast.For | ast.While | ast.With | ast.AsyncFor):
                found.append(f"{source.at(node)} {ast.unparse(node)[:60]}")
    assert found == []


def test_nothing_is_patched() -> None:
    """No assignment to an attribute of an imported module or name."""
    found = []
    for source in shipped():
        imported = {(alias.asname or alias.name).split(".")[0] for node in source.find(ast.Import, ast.ImportFrom) for alias in node.names}
        for node in source.tree.body:
            targets = (
                node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign) else []
            )
            found += [
                source.at(node) for target in targets if isinstance(target, ast.Attribute) and ast.unparse(target).split(".")[0] in imported
            ]
    assert found == []


def _environment(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "os" and node.attr in {"environ", "environb", "getenv", "putenv"}


def _catches_all(node: ast.ExceptHandler) -> bool:
    if node.type is None:
        return True
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    wide = {"Exception", "BaseException"} & {ast.unparse(kind).split(".")[-1] for kind in kinds}
    gives_it_on = any(isinstance(last, ast.Raise) and last.exc is None for last in node.body[-1:])
    return "Exception" in wide or (bool(wide) and not gives_it_on)


def _mutable_containers(source: Source) -> list[str]:
    """Containers at module level that are lower-case (so no constants), empty (so made to be filled), or changed in this module."""
    found = []
    changed = {
        ast.unparse(node.func.value)
        for node in source.find(ast.Call)
        if isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS
    }
    for node in source.find(ast.Assign, ast.AugAssign, ast.Delete):
        targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
        changed |= {ast.unparse(target.value) for target in targets if isinstance(target, ast.Subscript)}
    for node in source.tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _is_container(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (ast.unparse(target) for target in targets):
                read_only = isinstance(node, ast.AnnAssign) and "Mapping" in ast.unparse(node.annotation)
                if name != "__all__" and (not name.isupper() or name in changed or (_is_empty(node.value) and not read_only)):
                    found.append(f"{source.at(node)} {name}")
    return found


def _is_container(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).split(".")[-1] in CONTAINERS
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _is_empty(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return not (value.args or value.keywords)
    return (isinstance(value, ast.List | ast.Set) and not value.elts) or (isinstance(value, ast.Dict) and not value.keys)
