"""The Helm chart, rendered by Helm and checked against Kubernetes' schemas and the code."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import PREFIX, Settings
from app.telemetry.metrics import GAUGES
from fixtures.process import ROOT
from tests.support.programs.installed import deployment_programs

CHART = ROOT / "deploy" / "helm" / "llama-vision"
PROGRAM = Path(__file__).parent / "programs" / "helm.py"
VERSIONS = ("1.31", "1.32", "1.33", "1.34", "1.35")
"""The supported versions of Kubernetes."""
MODEL = "arn:aws:bedrock:us-east-1:123456789012:imported-model/llama32vis11"
LEAST: dict[str, Any] = {"settings": {"model_id": MODEL}}
SHARED = {"redis": True, "postgres": True, "filesBucket": "vision-files/prod"}
VALUES: dict[str, dict[str, Any]] = {
    "least": LEAST,
    "shared": {**LEAST, "stores": SHARED, "secrets": ["llama-vision"]},
    "batch": {**LEAST, "stores": SHARED, "batch": {"enabled": True}},
    "keda": {
        **LEAST,
        "stores": SHARED,
        "batch": {"enabled": True},
        "autoscaling": {"hpa": False, "keda": True},
    },
    "custom metric": {**LEAST, "autoscaling": {"bytesInFlightShare": 0.5}},
    "fixed": {**LEAST, "autoscaling": {"hpa": False}, "topologySpread": False},
    "monitored": {
        **LEAST,
        "monitoring": {"serviceMonitor": True, "prometheusRule": True, "dashboard": True},
    },
    "account": {
        **LEAST,
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}},
        "image": {"digest": f"sha256:{'0' * 64}"},
        "networkPolicy": {"from": [{"kubernetes.io/metadata.name": "web"}]},
    },
}


def rendered(values: dict[str, Any]) -> dict[str, Any]:
    """Return the chart rendered with ``values``, and the findings about it."""
    answer: dict[str, Any] = json.loads(_rendered(json.dumps(values)))
    return answer


@cache
def _rendered(values: str) -> str:
    python = deployment_programs() / "python"
    run = subprocess.run(
        [python, PROGRAM, CHART, *VERSIONS], input=values, text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    return run.stdout


def documents(values: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = [one for one in rendered(values)["documents"] if one["kind"] == kind]
    assert found, kind
    return found


def pods(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [one["spec"]["template"]["spec"] for one in documents(values, "Deployment")]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_rendered_manifests_are_valid_for_every_supported_version(values):
    answer = rendered(values)

    assert answer["documents"]
    assert answer["faults"] == []
    assert answer["lint"]["errors"] == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"settings": {"model_id": ""}}, "model_id"),
        ({**LEAST, "replica": 3}, "replica"),
        ({**LEAST, "batch": {"enabled": True}}, "stores"),
        ({**LEAST, "autoscaling": {"hpa": True, "keda": True}}, "autoscaling"),
        ({**LEAST, "image": {"digest": "latest"}}, "digest"),
        ({**LEAST, "terminationGracePeriodSeconds": 41}, "shutdown_grace need more than 41"),
    ],
)
def test_invalid_values_are_refused_by_name(values, message):
    assert message in rendered(values)["refused"]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_environment_variables_name_existing_settings(values):
    (settings,) = [
        one for one in documents(values, "ConfigMap") if "LLAMA_VISION_MODEL_ID" in one["data"]
    ]
    named = {variable["name"] for pod in pods(values) for variable in pod["containers"][0]["env"]}

    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert {*settings["data"]} | named <= known


def test_the_settings_start_the_service(monkeypatch):
    (settings, *_) = documents(VALUES["shared"], "ConfigMap")
    secrets = {
        f"{PREFIX}KEYS": "[]",
        f"{PREFIX}REDIS_URL": "rediss://redis:6379/0",
        f"{PREFIX}POSTGRES_URL": "postgresql://u:p@postgres/db?sslmode=verify-full",
        f"{PREFIX}HOST": "0.0.0.0",
    }
    for name, value in {**settings["data"], **secrets}.items():
        monkeypatch.setenv(name, value)

    loaded = Settings(_env_file=None)

    assert (loaded.limits_store, loaded.usage_store, loaded.queue_store, loaded.files_store) == (
        "redis", "postgres", "postgres", "s3",
    )  # fmt: skip
    assert loaded.files_bucket == SHARED["filesBucket"]


@pytest.mark.parametrize("values", [VALUES["least"], VALUES["batch"]], ids=["service", "batch"])
def test_a_pod_is_restricted_and_probed_on_existing_paths(values):
    exposed = re.findall(r"^EXPOSE (\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    paths = json.loads((ROOT / "openapi/openapi.json").read_text())["paths"]
    for pod in pods(values):
        (container,) = pod["containers"]
        (port,) = container["ports"]
        probes = [
            container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")
        ]
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert str(port["containerPort"]) == exposed[-1]
        assert {probe["path"] for probe in probes} <= {*paths}
        assert [probe["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"]
        assert mounts == {"/var/lib/llama-vision", "/tmp"}
        assert pod["securityContext"]["runAsUser"] == 10001
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_a_pods_grace_period_is_longer_than_a_full_shutdown():
    (settings, *_) = documents(LEAST, "ConfigMap")
    (pod,) = pods(LEAST)

    taken = sum(
        float(settings["data"][f"{PREFIX}{name}"]) for name in ("SHUTDOWN_DELAY", "SHUTDOWN_GRACE")
    )
    assert pod["terminationGracePeriodSeconds"] > taken + 6


def test_with_batch_workers_the_serving_pods_do_not_work_on_the_queue():
    workers = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"]
        for one in documents(VALUES["batch"], "Deployment")
    }

    assert workers == {"answers": "false", "answers-batch": "true"}


def test_batch_workers_scale_down_to_zero_by_the_depth_of_the_queue():
    scaled = {
        one["metadata"]["name"]: one["spec"] for one in documents(VALUES["keda"], "ScaledObject")
    }

    assert scaled["answers-batch"]["minReplicaCount"] == 0
    queries = [
        trigger["metadata"]["query"]
        for spec in scaled.values()
        for trigger in spec["triggers"]
        if trigger["type"] == "prometheus"
    ]
    metrics = {name for query in queries for name in re.findall(r"llama_vision_\w+", query)}
    assert metrics == {
        "llama_vision_work_waiting",
        "llama_vision_work_leased",
        "llama_vision_bytes_in_flight_ratio",
    }
    assert metrics <= {*GAUGES}


def test_dashboards_and_rules_equal_those_of_the_other_deployments():
    values = VALUES["monitored"]
    (dashboard,) = [
        one for one in documents(values, "ConfigMap") if "llama-vision.json" in one["data"]
    ]
    (rules,) = documents(values, "PrometheusRule")

    assert json.loads(dashboard["data"]["llama-vision.json"]) == json.loads(
        (ROOT / "deploy/grafana/llama-vision.json").read_text()
    )
    assert rules["spec"] == yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
