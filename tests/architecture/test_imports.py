"""Imports point one way, and every third party that is imported is declared."""

from __future__ import annotations

import re
import sys
from importlib.metadata import packages_distributions

import pytest

from .tree import Member, members

PLUGINS = [member for member in members() if member.folder.parent.name == "plugins"]


@pytest.mark.parametrize("member", members(), ids=repr)
def test_a_distribution_imports_only_what_it_declares(member: Member) -> None:
    always, sometimes = _allowed(member, with_extras=False), _allowed(member, with_extras=True)
    found = []
    for source in member.sources:
        allowed = sometimes if {"testing", "server"} & set(source.path.with_suffix("").parts) else always
        found += [f"{source.at(node)} {module}" for node, module in source.imports() if module.split(".")[0] not in allowed]
    assert found == []


@pytest.mark.parametrize("member", PLUGINS, ids=repr)
def test_a_plugin_imports_the_sdk_and_nothing_else_of_ours(member: Member) -> None:
    ours = {each.package for each in members()} - {member.package, "routeiq_sdk"}
    found = [
        f"{source.at(node)} {module}"
        for source in member.sources
        for node, module in source.imports(with_types=True)
        if module.split(".")[0] in ours
    ]
    assert found == []


@pytest.mark.parametrize("member", PLUGINS, ids=repr)
def test_one_name_drives_everything(member: Member) -> None:
    name = member.folder.name
    points = member.project["project"].get("entry-points", {}).get("routeiq.plugins", {})
    if name == "standard":
        assert (member.name, member.package, points) == ("routeiq", "routeiq", {})
    else:
        assert (member.name, member.package) == (f"routeiq-{name.replace('_', '-')}", f"routeiq_{name}")
        assert points == {name: f"routeiq_{name}:manifest"}


def test_the_standard_set_and_its_extras_name_every_first_party_plugin() -> None:
    project = next(member for member in PLUGINS if member.name == "routeiq").project["project"]
    standard = {_name(requirement) for requirement in project["dependencies"]}
    extras = {_name(requirement) for extra in project["optional-dependencies"].values() for requirement in extra}
    assert standard | extras == {member.name for member in members()} - {"routeiq"}
    assert extras - standard == {"routeiq-state-redis"}


def test_members_of_the_project_are_required_by_range() -> None:
    """An exact pin between siblings would force third parties to one version of everything."""
    ours = {member.name for member in members()}
    pinned = [
        f"{member.name}: {requirement}"
        for member in members()
        for requirement in member.project["project"].get("dependencies", [])
        if _name(requirement) in ours and not re.search(r">=\d.*<\d", requirement)
    ]
    assert pinned == []


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _allowed(member: Member, *, with_extras: bool) -> set[str]:
    """The top-level modules that the declared dependencies hold."""
    project = member.project["project"]
    requirements = list(project.get("dependencies", []))
    if with_extras:
        requirements += [each for extra in project.get("optional-dependencies", {}).values() for each in extra]
    declared = {_name(requirement) for requirement in requirements}
    packages = packages_distributions()
    theirs = {package for package, owners in packages.items() if declared & {owner.lower().replace("_", "-") for owner in owners}}
    ours = {each.package for each in members() if each.name in declared}
    return set(sys.stdlib_module_names) | theirs | ours | {member.package}
