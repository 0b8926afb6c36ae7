"""The chart: linted and rendered by Helm's own library, each object validated against two versions of Kubernetes.

Run by `nox -s deploy`, whose environment holds Helm. Installation in a cluster is not tested.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
from ruamel.yaml import YAML

CHART = Path(__file__).parents[2] / "charts" / "routeiq"
INFO = 1
"""Helm's severity of advice."""
VERSIONS = ("1.29.0", "1.37.0")
SETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "one replica": {"replicas": 1},
    "everything": {
        "replicas": 3,
        "workers": 2,
        "secretName": "keys",
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
        "config": {"model_list": [{"model_name": "demo", "litellm_params": {"model": "demo/demo"}}], "kernel": {"log_level": "debug"}},
        "drain": {"timeoutSeconds": 600, "preStopSeconds": 20},
        "pullSecrets": [{"name": "registry"}],
        "serviceAccountName": "gateway",
        "podAnnotations": {"example.com/team": "llm"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
    },
}


def rendered(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Objects by kind."""
    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render(values, name="demo", namespace="llm")
    documents = [
        document for name, text in files.items() if name.endswith(".yaml") for document in YAML(typ="safe").load_all(text) if document
    ]
    return {document["kind"]: document for document in documents}


def pod(values: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = rendered(values)["Deployment"]["spec"]["template"]["spec"]
    return spec


def test_helm_finds_nothing_to_complain_about() -> None:
    found = helm_python.lint(str(CHART))
    assert found["errors"] == []
    assert [message for message in found["messages"] if message["severity"] > INFO] == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SETS)
def test_every_object_is_valid(name: str, version: str) -> None:
    objects = rendered(SETS[name])
    assert {"ConfigMap", "Deployment", "Service"} <= objects.keys()
    for each in objects.values():
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("name", SETS)
def test_a_pod_is_given_longer_than_its_drain(name: str) -> None:
    spec, container = pod(SETS[name]), pod(SETS[name])["containers"][0]
    drain = next(int(each["value"]) for each in container["env"] if each["name"] == "ROUTEIQ_DRAIN_TIMEOUT_SECONDS")
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] > drain + pause


def test_the_container_has_no_privileges() -> None:
    spec = pod({})
    container = spec["containers"][0]["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["automountServiceAccountToken"] is False
    assert container == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def test_probes_ask_the_endpoints_of_health() -> None:
    container = pod({})["containers"][0]
    paths = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/_health/live", "livenessProbe": "/_health/live", "readinessProbe": "/_health/ready"}


def test_secrets_come_from_the_named_secret_and_not_from_the_configuration() -> None:
    container = pod(SETS["everything"])["containers"][0]
    assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert YAML(typ="safe").load(rendered({})["ConfigMap"]["data"]["routeiq.yaml"]) == {
        "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"}
    }


def test_a_disruption_budget_needs_a_second_replica() -> None:
    assert "PodDisruptionBudget" in rendered({})
    assert "PodDisruptionBudget" not in rendered({"replicas": 1})


@pytest.mark.parametrize("wrong", [{"replicas": 0}, {"replica": 2}, {"drain": {"timeoutSeconds": "long", "preStopSeconds": 1}}])
def test_the_schema_refuses_what_is_wrong(wrong: dict[str, Any]) -> None:
    with helm_python.Chart.load(str(CHART)) as chart, pytest.raises(helm_python.HelmError):
        chart.validate_schema(wrong)
