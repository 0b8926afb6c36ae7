"""Strict structuring: layers, types, nearest names, places, and secrets that never show."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from attrs import Factory, frozen, validators
from msgspec import Meta
from routeiq_kernel.config.load import Document
from routeiq_kernel.config.strict import plugin_config, structure, used
from routeiq_sdk import ConfigError, Secret, setting


class Colour(Enum):
    RED = "red"


@frozen
class Rule:
    name: str
    limit: int = 1


@frozen
class Inner:
    depth: int = setting(1, env="QUOTA_DEPTH")


@frozen
class Config:
    limit: int = setting(10, env="QUOTA_LIMIT", key="router_settings.limit litellm_settings.limit", help="requests a minute")
    ratio: Annotated[float, Meta(ge=0, le=1)] = 0.5
    on: bool = setting(False, env="QUOTA_ON")
    words: tuple[str, ...] = setting((), env="QUOTA_WORDS")
    numbers: list[int] = setting(Factory(list), env="QUOTA_NUMBERS")
    kinds: frozenset[str] = frozenset()
    mode: Literal["open", "closed"] = setting("open", env="QUOTA_MODE")
    colour: Colour = Colour.RED
    master_key: Secret | None = setting(None, env="QUOTA_KEY", key="general_settings.master_key")
    keys: tuple[Secret, ...] = ()
    path: Path | None = None
    rules: tuple[Rule, ...] = setting((), env="QUOTA_RULES")
    named: dict[str, Rule] = Factory(dict)
    options: dict[str, Any] = Factory(dict)
    either: str | tuple[str, ...] = "a"
    inner: Inner = Inner()


def document(
    section: Any = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None, **data: Any
) -> Document:
    lines = {"plugins.quota": 3, **{f"plugins.quota.{name}": 4 + index for index, name in enumerate(section or ())}}
    return Document({"plugins": {"quota": section}, **data}, lines, "c.yaml", dict(environ or {}), dict(flags or {}))


def config(section: Any = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None, **data: Any) -> Config:
    return plugin_config(document(section, environ, flags, **data), "quota", Config)


def problems(section: Any = None, environ: Mapping[str, str] | None = None, **data: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        config(section, environ, **data)
    return caught.value.problems


def test_flag_beats_environment_beats_file_beats_litellm_key_beats_default() -> None:
    file, environ, litellm = {"limit": 2}, {"QUOTA_LIMIT": "3"}, {"limit": 4}
    assert config(file, environ, {"plugins.quota.limit": "1"}, router_settings=litellm).limit == 1
    assert config(file, environ, router_settings=litellm).limit == 3
    assert config(file, router_settings=litellm).limit == 2
    assert config(router_settings=litellm, litellm_settings={"limit": 5}).limit == 4
    assert config(litellm_settings={"limit": "5"}).limit == 5
    assert config().limit == 10


def test_values_of_the_right_type_are_taken() -> None:
    made = config({
        "limit": 1, "ratio": 1, "on": True, "words": ["a"], "numbers": [1, 2], "kinds": ["x"], "mode": "closed", "colour": "red",
        "master_key": "sk", "keys": ["k"], "path": "/x", "rules": [{"name": "r"}], "named": {"n": {"name": "r", "limit": 2}},
        "options": {"a": [1, {"b": "os.environ/QUOTA_DEPTH"}]}, "either": ["b"], "inner": {"depth": 2},
    }, {"QUOTA_DEPTH": "7"})  # fmt: skip
    assert made == Config(
        1, 1.0, True, ("a",), [1, 2], frozenset({"x"}), "closed", Colour.RED, Secret("sk"), (Secret("k"),), Path("/x"), (Rule("r"),),
        {"n": Rule("r", 2)}, {"a": [1, {"b": "7"}]}, ("b",), Inner(7),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("QUOTA_LIMIT", " 12 ", "limit", 12),
        ("QUOTA_LIMIT", "", "limit", 10),
        ("QUOTA_ON", "true", "on", True),
        ("QUOTA_ON", "Off", "on", False),
        ("QUOTA_ON", "1", "on", True),
        ("QUOTA_WORDS", "a, b,,c", "words", ("a", "b", "c")),
        ("QUOTA_WORDS", '["a,b"]', "words", ("a,b",)),
        ("QUOTA_NUMBERS", "1,2", "numbers", [1, 2]),
        ("QUOTA_MODE", "CLOSED", "mode", "closed"),
        ("QUOTA_KEY", "sk", "master_key", Secret("sk")),
        ("QUOTA_RULES", '[{"name": "r", "limit": 3}]', "rules", (Rule("r", 3),)),
    ],
)
def test_variables_are_read_by_the_fields_type(variable: str, text: str, field: str, value: Any) -> None:
    assert getattr(config(environ={variable: text}), field) == value


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"limit": "ten"}, "plugins.quota.limit: expected int, got str 'ten' (c.yaml:4)"),
        ({"limit": "10"}, "plugins.quota.limit: expected int, got str '10' (c.yaml:4)"),
        ({"limit": 2.9}, "plugins.quota.limit: expected int, got float 2.9 (c.yaml:4)"),
        ({"limit": 2.0}, "plugins.quota.limit: expected int, got float 2.0 (c.yaml:4)"),
        ({"limit": True}, "plugins.quota.limit: expected int, got bool True (c.yaml:4)"),
        ({"limit": None}, "plugins.quota.limit: expected int, got null (c.yaml:4)"),
        ({"limit": [1]}, "plugins.quota.limit: expected int, got list (c.yaml:4)"),
        ({"on": "no"}, "plugins.quota.on: expected bool, got str 'no' (write true or false) (c.yaml:4)"),
        ({"on": 1}, "plugins.quota.on: expected bool, got int 1 (write true or false) (c.yaml:4)"),
        ({"ratio": 2}, "plugins.quota.ratio: expected float <= 1.0, got int 2 (c.yaml:4)"),
        ({"words": "a"}, "plugins.quota.words: expected list, got str 'a' (c.yaml:4)"),
        ({"words": ["a", 1]}, "plugins.quota.words.1: expected str, got int 1 (c.yaml:4)"),
        ({"mode": "clsed"}, "plugins.quota.mode: expected one of open, closed, got str 'clsed'; did you mean closed? (c.yaml:4)"),
        ({"colour": "blue"}, "plugins.quota.colour: expected one of red, got str 'blue' (c.yaml:4)"),
        ({"path": 5}, "plugins.quota.path: expected str, got int 5 (c.yaml:4)"),
        ({"rules": [{"nam": "x"}]}, "plugins.quota.rules.0.nam: unknown key; did you mean name? (c.yaml:4)"),
        ({"rules": {"name": "x"}}, "plugins.quota.rules: expected list, got mapping (c.yaml:4)"),
        ({"named": {"n": {"name": 1}}}, "plugins.quota.named.n.name: expected str, got int 1 (c.yaml:4)"),
        ({"inner": {"deph": 1}}, "plugins.quota.inner.deph: unknown key; did you mean depth? (c.yaml:4)"),
        ({"inner": 5}, "plugins.quota.inner: expected a mapping, got int (c.yaml:4)"),
        ({"limt": 1}, "plugins.quota.limt: unknown key; did you mean limit? (c.yaml:4)"),
        ({"zzz": 1}, "plugins.quota.zzz: unknown key (c.yaml:4)"),
        ({"limit": "os.environ/ABSENT"}, "plugins.quota.limit: the environment variable ABSENT is not set (c.yaml:4)"),
        ({"limit": "os.environ/EMPTY"}, "plugins.quota.limit: the environment variable EMPTY is not set (c.yaml:4)"),
        ({"limit": "os.environ/WORD"}, "plugins.quota.limit: expected int, got str (environment WORD, c.yaml:4)"),
    ],
)
def test_a_wrong_value_is_named_with_path_value_and_place(section: dict[str, Any], message: str) -> None:
    assert message in problems(section, {"EMPTY": "", "WORD": "secret word"})


def test_a_wrong_variable_is_named() -> None:
    assert problems(environ={"QUOTA_LIMIT": "ten"}) == ("plugins.quota.limit: expected int, got str 'ten' (environment QUOTA_LIMIT)",)
    assert problems(router_settings={"limit": "ten"})[0].startswith("router_settings.limit: expected int, got str 'ten'")


def test_all_problems_are_reported_together() -> None:
    assert len(problems({"limit": "x", "on": "y", "rules": [{}, {"name": 1}], "typo": 1}, {"QUOTA_DEPTH": "z"})) == 6


def test_a_missing_field_says_how_to_set_it() -> None:
    @frozen
    class Needy:
        url: str = setting(env="NEEDY_URL")

    with pytest.raises(ConfigError, match=r"plugins\.needy\.url: required; it may also be set by NEEDY_URL in the environment"):
        structure(Needy, {}, "plugins.needy", Document())


def test_validators_of_the_class_are_problems_of_the_field() -> None:
    @frozen
    class Picky:
        limit: int = setting(1, validator=validators.gt(0))
        api_key: str = setting("k", validator=validators.max_len(4))

    with pytest.raises(ConfigError, match=r"^plugins\.picky\.limit: 'limit' must be > 0: 0 \(default\)$"):
        structure(Picky, {"limit": 0}, "plugins.picky", Document())
    with pytest.raises(ConfigError, match=r"^plugins\.picky\.api_key: not a valid value"):
        structure(Picky, {"api_key": "sk-secret"}, "plugins.picky", Document())


@pytest.mark.parametrize(
    ("section", "environ"),
    [
        ({"master_key": ["sk-secret"]}, {}),
        ({"master_key": {"sk-secret": "sk-secret"}}, {}),
        ({"master_key": 7770777}, {}),
        ({"keys": "sk-secret"}, {}),
        ({"keys": ["ok", 7770777]}, {}),
        ({"limit": "os.environ/KEY"}, {"KEY": "sk-secret"}),
        ({"options": {"api_key": "x"}, "mode": "os.environ/KEY"}, {"KEY": "sk-secret"}),
    ],
)
def test_a_secret_of_the_wrong_type_is_not_echoed(section: dict[str, Any], environ: dict[str, str]) -> None:
    text = "\n".join(problems(section, environ))
    assert "sk-secret" not in text.replace("master_key.sk-secret", "") and "7770777" not in text


def test_the_keys_and_variables_that_a_class_reads_are_known() -> None:
    keys, variables = used([Config])
    assert keys == {"router_settings.limit", "litellm_settings.limit", "general_settings.master_key"}
    assert {"QUOTA_LIMIT", "QUOTA_DEPTH"} <= variables
