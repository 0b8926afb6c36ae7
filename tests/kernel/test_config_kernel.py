"""The kernel's own settings, plugin sections, and warnings about what nobody uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from routeiq_kernel.config.flags import FLAGS
from routeiq_kernel.config.kernel import Settings, configured_plugins, kernel_settings
from routeiq_kernel.config.load import Document, load
from routeiq_kernel.config.models import deployments, known
from routeiq_kernel.config.strict import leaves
from routeiq_kernel.config.unsupported import check_sections, warnings
from routeiq_sdk import ConfigError, Secret, setting


def document(kernel: Any = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None, **data: Any) -> Document:
    return Document({"kernel": kernel, **data}, {"kernel": 1}, "c.yaml", dict(environ or {}), dict(flags or {}))


def problem(kernel: Any = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        kernel_settings(document(kernel, environ, flags))
    return str(caught.value)


def test_the_defaults_need_no_configuration() -> None:
    settings = kernel_settings(Document())
    assert (settings.port, settings.host, settings.mode, settings.workers, settings.plugins) == (
        4000,
        "0.0.0.0",
        "development",
        1,
        "@default",
    )
    times = settings.timeouts
    assert (times.connect_s, times.first_token_s, times.idle_s, times.attempt_s, times.all_s) == (10, None, 30, 600, 1200)
    assert settings.cors.origins == ()


def test_flags_beat_variables_which_beat_the_file() -> None:
    file, environ = {"port": 1}, {"LITELLM_PORT": "2"}
    assert kernel_settings(document(file, environ, {"kernel.port": "3"})).port == 3
    assert kernel_settings(document(file, environ)).port == 2
    assert kernel_settings(document(file)).port == 1


def test_every_flag_names_a_setting() -> None:
    assert set(FLAGS) - {"config"} <= {leaf.path for leaf in leaves(Settings, "kernel")}


@pytest.mark.parametrize(
    ("data", "attempt_s"),
    [
        ({"litellm_settings": {"request_timeout": 30}}, 30),
        ({"router_settings": {"timeout": 20}, "litellm_settings": {"request_timeout": 30}}, 20),
        ({"kernel": {"timeouts": {"attempt_s": 10}}, "router_settings": {"timeout": 20}}, 10),
    ],
)
def test_litellms_timeouts_are_those_of_an_attempt(data: dict[str, Any], attempt_s: float) -> None:
    times = kernel_settings(Document(data)).timeouts
    assert (times.attempt_s, times.all_s) == (attempt_s, 2 * attempt_s)


@pytest.mark.parametrize(
    ("environ", "keys"),
    [
        ({"ADMIN_API_KEYS": "a, b"}, ("a", "b")),
        ({"ADMIN_API_KEY": "c"}, ("c",)),
        ({"ADMIN_API_KEYS": "a", "ADMIN_API_KEY": "c"}, ("a", "c")),
        ({"ADMIN_API_KEYS": "a", "ADMIN_API_KEY": "a"}, ("a",)),
        ({"ADMIN_API_KEYS": "", "ADMIN_API_KEY": ""}, ()),
    ],
)
def test_admin_keys_come_from_both_variables(environ: dict[str, str], keys: tuple[str, ...]) -> None:
    assert kernel_settings(document(environ=environ)).admin_api_keys == tuple(Secret(key) for key in keys)


def test_variables_of_the_earlier_systems_keep_their_names() -> None:
    settings = kernel_settings(document(environ={
        "LITELLM_HOST": "h", "ADMIN_AUTH_ENABLED": "false", "ROUTEIQ_MAX_CONCURRENT_REQUESTS": "5", "ROUTEIQ_DRAIN_TIMEOUT_SECONDS": "7.5",
        "LITELLM_DEBUG": "true", "ROUTEIQ_DISABLE": "a,b", "ROUTEIQ_STATE_DIR": "/s", "SSL_CERT_FILE": "/ca", "HTTPS_PROXY": "http://p",
    }))  # fmt: skip
    assert (settings.host, settings.admin_auth, settings.max_concurrent_requests, settings.drain.timeout_s) == ("h", False, 5, 7.5)
    assert (settings.log_level, settings.disable, settings.state_dir) == ("debug", ("a", "b"), Path("/s"))
    assert (settings.ca_bundle, settings.proxy) == (Path("/ca"), "http://p")


@pytest.mark.parametrize(
    ("kernel", "environ", "message"),
    [
        ({"port": 70000}, {}, "kernel.port: expected int <= 65535, got int 70000 (c.yaml:1)"),
        ({"workers": 0}, {}, "kernel.workers: expected int >= 1, got int 0 (c.yaml:1)"),
        ({"prot": 1}, {}, "kernel.prot: unknown key; did you mean port? (c.yaml:1)"),
        (
            {"mode": "producton"},
            {},
            "kernel.mode: expected one of development, production, got str 'producton'; did you mean production? (c.yaml:1)",
        ),
        ({"base_path": "llm"}, {}, "kernel.base_path: expected str matching regex"),
        ({"timeouts": {"idle_s": 0}}, {}, "kernel.timeouts.idle_s: expected float > 0.0, got int 0 (c.yaml:1)"),
        ({"mode": "production", "allow_anonymous": True}, {}, "kernel.allow_anonymous: not allowed in production mode (c.yaml:1)"),
        ({"mode": "production"}, {"ADMIN_AUTH_ENABLED": "0"}, "kernel.admin_auth: cannot be switched off in production mode"),
        ({"tls": {"keyfile": "k"}}, {}, "kernel.tls.keyfile: needs kernel.tls.certfile as well"),
        ({"cors": {"origins": ["*"], "credentials": True}}, {}, 'kernel.cors.credentials: needs named origins, not "*"'),
        ({}, {"LITELLM_PORT": "http"}, "kernel.port: expected int, got str 'http' (environment LITELLM_PORT)"),
        ({"admin_api_keys": "sk-secret"}, {}, "kernel.admin_api_keys: expected list, got str (c.yaml:1)"),
    ],
)
def test_a_wrong_setting_is_named(kernel: Any, environ: dict[str, str], message: str) -> None:
    assert message in problem(kernel, environ)


def test_a_wrong_flag_is_named_by_its_option() -> None:
    assert problem(flags={"kernel.tls.certfile": 5}).endswith("(flag --ssl-certfile)")
    assert problem(flags={"kernel.port": "x"}) == "kernel.port: expected int, got str 'x' (flag --port)"


def test_the_state_directory_is_absolute_and_moves_when_the_folder_is_read_only(tmp_path: Path) -> None:
    here = Document(cwd=str(tmp_path))
    assert kernel_settings(here).state_dir == tmp_path / ".routeiq"
    assert kernel_settings(Document({"kernel": {"state_dir": "s"}}, cwd=str(tmp_path))).state_dir == tmp_path / "s"
    gone = Document(cwd=str(tmp_path / "absent"), environ={"HOME": "/home/u"})
    assert kernel_settings(gone).state_dir == Path("/home/u/.local/state/routeiq")


def test_an_edit_applies_to_the_layer_below() -> None:
    assert configured_plugins(document()) == "@default"
    assert configured_plugins(document({"plugins": ["a"]}, {"ROUTEIQ_PLUGINS": "+b"})) == ["a"]
    assert configured_plugins(document({"plugins": "a"}, {"ROUTEIQ_PLUGINS": "b"}, {"kernel.plugins": "+c"})) == "b"


def test_sections_must_belong_to_something_installed() -> None:
    check_sections(document(plugins={"quota": {}}, guardrails=[]), ["quota"])
    with pytest.raises(ConfigError, match=r"plugins\.qota: no such plugin is installed; did you mean quota\? \(c\.yaml\)"):
        check_sections(document(plugins={"qota": {}}), ["quota", "policy"])
    with pytest.raises(ConfigError, match="kernels: unknown section; did you mean kernel"):
        check_sections(Document({"kernels": {}}), [])


@frozen
class Auth:
    master_key: Secret | None = setting(None, env="LITELLM_MASTER_KEY", key="general_settings.master_key")
    redis_host: str = setting("", env="REDIS_HOST", key="litellm_settings.cache_params.host")


def warned(environ: Mapping[str, str] | None = None, enabled: tuple[str, ...] = (), **data: Any) -> list[str]:
    keys, variables = {"general_settings.master_key", "litellm_settings.cache_params.host"}, {"LITELLM_MASTER_KEY", "REDIS_HOST"}
    return warnings(document(environ=environ, **data), keys, variables, enabled)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"router_settings": {"cooldown_time": 1}}, "router_settings.cooldown_time: no enabled plugin supports this LiteLLM setting yet"),
        (
            {"router_settings": {"cooldown_tim": 1}},
            "router_settings.cooldown_tim: not a setting of LiteLLM; it has no effect; did you mean cooldown_time?",
        ),
        ({"litellm_settings": {"cache": True}}, "litellm_settings.cache: no enabled plugin supports"),
        ({"general_settings": {"database_url": "x"}}, "general_settings.database_url: no enabled plugin supports"),
        ({"guardrails": []}, "guardrails: this LiteLLM section is not supported yet"),
        ({"modellist": []}, "modellist: unknown section without effect; did you mean model_list?"),
        (
            {"model_list": [{"model_name": "m", "litellm_param": {}}]},
            "model_list.0.litellm_param: unknown key without effect; did you mean litellm_params?",
        ),
        ({"plugins": {"quota": {}}}, "plugins.quota: the plugin is not enabled"),
        ({"environ": {"POLICY_CONFIG_PATH": "/p"}}, "environment POLICY_CONFIG_PATH: no enabled plugin reads it (policy)"),
        ({"environ": {"MCP_GATEWAY_ENABLED": "true"}}, "environment MCP_GATEWAY_ENABLED: no enabled plugin reads it (mcp)"),
        (
            {"environ": {"ROUTEIQ_STATE_DR": "/s"}},
            "environment ROUTEIQ_STATE_DR: nothing that is enabled reads it; it has no effect; did you mean ROUTEIQ_STATE_DIR?",
        ),
    ],
)
def test_what_nobody_uses_is_warned_about_by_name(data: dict[str, Any], message: str) -> None:
    (line,) = warned(**data)
    assert line.startswith(message)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"general_settings": {"master_key": "x", "global_max_parallel_requests": 5}},
        {"litellm_settings": {"cache_params": {"host": "x"}, "request_timeout": 5}},
        {"router_settings": {"timeout": 5, "default_litellm_params": {}}},
        {"x-anchors": {}},
        {"plugins": {"quota": {}}, "enabled": ("quota",)},
        {"environ": {"REDIS_HOST": "h", "LITELLM_PORT": "1", "MCP_GATEWAY_ENABLED": "false", "POLICY_CONFIG_PATH": ""}},
        {"environ": {"ROUTEIQ_STATE_DR": "", "ROUTEIQ_SERVICE_HOST": "h", "ROUTEIQ_PORT": "tcp://h:1", "ROUTEIQ_PORT_4000_TCP_ADDR": "h"}},
    ],
)
def test_what_is_used_or_switched_off_is_not_warned_about(data: dict[str, Any]) -> None:
    assert warned(**data) == []


def test_values_never_show_in_warnings() -> None:
    lines = warned({"LLMROUTER_MODEL_HMAC_SECRET": "sk-secret"}, general_settings={"database_url": "sk-secret"})
    assert len(lines) == 2 and "sk-secret" not in str(lines)


def test_the_tables_of_names_hold_no_name_twice() -> None:
    table = known()
    variables = [name for each in table.variables.values() for name in each]
    for names in (*table.litellm.values(), table.connection, variables):
        assert len(names) == len(set(names))


CONF = Path(__file__).parents[2] / "conf"


def test_the_commented_example_holds_every_setting_with_its_default() -> None:
    example = load({"config": CONF / "routeiq.yaml"}, {}, CONF)
    settings = kernel_settings(example)
    assert settings == kernel_settings(Document(cwd=str(CONF)))
    assert {leaf.path for leaf in leaves(Settings, "kernel")} <= set(example.lines)


@pytest.mark.parametrize("name", ["routeiq.yaml", "routeiq.minimal.yaml"])
def test_the_examples_serve_once_their_variables_are_set(name: str) -> None:
    keys = dict.fromkeys(("OPENAI_API_KEY", "SECOND_API_KEY", "ANTHROPIC_API_KEY", "LITELLM_MASTER_KEY"), "sk")
    example = load({"config": CONF / name}, keys, CONF)
    assert all(each.api_key == Secret("sk") for each in deployments(example, lambda model, params: ("p", model)))
    assert warnings(example, {"general_settings.master_key"}, set(), set()) == []
