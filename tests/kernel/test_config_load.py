"""Finding and reading the file: YAML 1.2, lines, and a clear error for everything that is no configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from routeiq_kernel.config.load import MAX_BYTES, Document, load
from routeiq_sdk import ConfigError

BOMB = "x-0: &x0 [1]\n" + "".join(f"x-{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 12))


def write(folder: Path, text: str | bytes, name: str = "routeiq.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(folder: Path, text: str | bytes) -> str:
    write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load({}, {}, folder)
    return str(caught.value)


def test_the_flag_beats_the_variable_which_beats_the_usual_names(tmp_path: Path) -> None:
    for name in ("flag.yaml", "variable.yaml", "routeiq.yaml", "config.yaml"):
        write(tmp_path, f"kernel: {{host: {name}}}", name)

    def found(flags: dict[str, str], environ: dict[str, str]) -> str:
        return str(load(flags, environ, tmp_path).section("kernel")["host"])

    assert found({"config": "flag.yaml"}, {"LITELLM_CONFIG_PATH": "variable.yaml"}) == "flag.yaml"
    assert found({}, {"LITELLM_CONFIG_PATH": "variable.yaml"}) == "variable.yaml"
    assert found({}, {}) == "routeiq.yaml"
    (tmp_path / "routeiq.yaml").unlink()
    assert found({}, {}) == "config.yaml"


def test_no_file_is_an_empty_document(tmp_path: Path) -> None:
    document = load({}, {}, tmp_path)
    assert (document.data, document.path) == ({}, None)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n", "kernel:\nplugins:\nmodel_list:\n"])
def test_an_empty_file_or_section_is_fine(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    assert load({}, {}, tmp_path).section("kernel") == {}


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read: No such file"):
        load({"config": "absent.yaml"}, {}, tmp_path)


def test_scalars_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    write(tmp_path, "x-all: [yes, no, on, 010, 0o10, 0x1f, 1e3, 1.5, ~, true, 2024-02-01, '5', !!str 5, 12:30]")
    assert load({}, {}, tmp_path).data["x-all"] == ["yes", "no", "on", 10, 8, 31, 1000.0, 1.5, None, True, "2024-02-01", "5", "5", "12:30"]


def test_aliases_and_merge_keys_are_resolved(tmp_path: Path) -> None:
    write(tmp_path, "x-base: &base {rpm: 1, tpm: 2}\nx-more: &more {tpm: 3, weight: 4}\nx-all:\n  tpm: 9\n  <<: [*base, *more]\n")
    assert load({}, {}, tmp_path).data["x-all"] == {"rpm": 1, "tpm": 9, "weight": 4}


def test_lines_are_known_for_every_value(tmp_path: Path) -> None:
    write(tmp_path, "kernel:\n  port: 1\nmodel_list:\n- model_name: a\n  litellm_params:\n    model: b\nx-map: {gpt-4.1: c}\n")
    document = load({}, {}, tmp_path)
    assert document.where("kernel.port") == "routeiq.yaml:2"
    assert document.where("model_list.0.litellm_params.model") == "routeiq.yaml:6"
    assert document.where("kernel.absent") == "routeiq.yaml:1"
    assert document.get("kernel.port") == 1
    assert document.get("kernel.port.more") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kernel:\n\tport: 1", r"routeiq\.yaml:2: .*spaces, not with tabs"),
        ("kernel: [1, 2", r"routeiq\.yaml:1: .*flow sequence"),
        ("kernel:\n  host: 'sk-secret", r"routeiq\.yaml:2: .*end of stream"),
        ("a: b: c", r"routeiq\.yaml:1: mapping values are not allowed here"),
        ("kernel: *absent", r"routeiq\.yaml:1: found undefined alias"),
        ("kernel: {}\n---\nplugins: {}", r"routeiq\.yaml:2: .*another document"),
        ("kernel:\n  port: 1\n  host: x\n  port: 2", r"routeiq\.yaml:4: the key 'port' stands twice"),
        ("- 1", r"routeiq\.yaml:1: expected sections .* got a list"),
        ("\n\nhello", r"routeiq\.yaml:3: expected sections .* got a str"),
        ("kernel: 5", r"kernel: expected a mapping, got int \(routeiq\.yaml:1\)"),
        ("plugins:\n- quota", r"plugins: expected a mapping, got list \(routeiq\.yaml:1\)"),
        ("model_list: {a: 1}", r"model_list: expected a list, got dict"),
        ("kernel:\n  ? [1]\n  : 2", r"routeiq\.yaml:2: a key must be a plain word"),
        ("kernel: !!python/object:os.system x", r"routeiq\.yaml:1: the tag .*os\.system is not supported"),
        ("kernel: {<<: 5}", r"<< merges mappings only"),
        ("x-n: .inf", r"routeiq\.yaml:1: not a valid float"),
        ("x-n: " + "9" * 30, r"routeiq\.yaml:1: not a valid int"),
        ("x-n: !!int abc", r"routeiq\.yaml:1: not a valid int"),
        ('x-n: "\\ud800"', r"routeiq\.yaml:1: not a valid str"),
        ("x-n: a\n\x00", r"routeiq\.yaml:2: the character #x00 is not allowed"),
        (b"kernel:\n  host: \xff", r"routeiq\.yaml:2: not UTF-8"),
        ("\ufeffkernel: 5".encode("utf-16"), r"routeiq\.yaml:1: not UTF-8"),
        ("x-deep: " + "[" * 5000, r"routeiq\.yaml:1: maximum depth"),
        ("x-loop: &x [*x]", r"does an alias contain itself"),
        (BOMB, r"more than 200,000 values"),
        (b"#" * (MAX_BYTES + 1), r"larger than 4 MB"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_configuration_is_refused_with_file_and_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    write(tmp_path, text)
    with pytest.raises(ConfigError, match=message):
        load({}, {}, tmp_path)


def test_messages_never_quote_values(tmp_path: Path) -> None:
    for text in ("a: 'sk-secret", "a: {b: sk-secret, b: sk-secret}", "a: sk-secret: b", "a: [sk-secret\nb: 1", "sk-secret"):
        assert "sk-secret" not in problems(tmp_path, text)


def test_all_duplicate_keys_are_reported_together(tmp_path: Path) -> None:
    assert problems(tmp_path, "kernel: {a: 1, a: 2, b: 1, b: 2}").count("stands twice") == 2


def test_environment_variables_of_the_file_do_not_replace_real_ones(tmp_path: Path) -> None:
    write(tmp_path, "environment_variables: {A: file, B: file, C: os.environ/A, D: 5}")
    document = load({}, {"A": "real"}, tmp_path)
    assert [document.environ[name] for name in "ABCD"] == ["real", "file", "real", "5"]


def test_a_document_survives_the_pipe_to_a_worker(tmp_path: Path) -> None:
    write(tmp_path, "kernel: {port: 1}\nx-n: [1.5, null, é]")
    document = load({"kernel.host": "h", "config": None}, {"A": "b", "BAD": "\udcff"}, tmp_path)
    assert Document.from_json(document.to_json()) == document
    assert document.environ == {"A": "b"}


def test_the_hash_changes_with_the_file_and_with_the_variables_it_names(tmp_path: Path) -> None:
    write(tmp_path, "general_settings: {master_key: os.environ/KEY}")

    def hashed(**environ: str) -> str:
        return load({}, environ, tmp_path).hash

    assert hashed(KEY="a") == hashed(KEY="a", HOME="elsewhere") != hashed(KEY="b")
    assert hashed(KEY="a") != hashed(KEY="a", ROUTEIQ_DISABLE="x")
    assert len(hashed()) == 12


def test_neither_key_nor_variable_shows_in_the_documents_repr() -> None:
    assert "sk-secret" not in repr(
        Document({"master_key": "sk-secret"}, environ={"KEY": "sk-secret"}, flags={"kernel.admin_api_keys": "sk-secret"})
    )
