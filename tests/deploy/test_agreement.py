"""Every template agrees with the code on environment variables, ports, paths and timeouts."""

import json
import re
from typing import Any

import pytest

from app.settings import PREFIX, Settings
from app.telemetry.emf import PROCESS_UNITS, EmbeddedGauges
from fixtures.process import ROOT
from tests.support.repository.templates import (
    ALL,
    AWS,
    CHART,
    COMPOSE,
    DOCKERFILE,
    loaded,
    resources,
    variables,
)

KNOWN = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
PATHS = set(json.loads((ROOT / "openapi/openapi.json").read_text())["paths"])
PORT = Settings.model_fields["port"].default
MODEL = "arn:aws:bedrock:us-east-1:123456789012:imported-model/llama32vis11"
DRAIN = 6
"""Seconds that the service may need to exit after delay and grace; docs/operations.md."""
DEFAULTS = {
    name: float(Settings.model_fields[name].default)
    for name in ("shutdown_delay", "shutdown_grace")
}


def ids(paths: list[Any]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def containers() -> list[dict[str, Any]]:
    """Return the containers of every task definition."""
    return [
        container
        for path in AWS
        for task in resources(path, "AWS::ECS::TaskDefinition")
        for container in task["ContainerDefinitions"]
    ]


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {one["Name"]: one["Value"] for one in container["Environment"] if "Name" in one}


def target_groups() -> list[dict[str, Any]]:
    return [
        group
        for path in AWS
        for group in resources(path, "AWS::ElasticLoadBalancingV2::TargetGroup")
    ]


@pytest.mark.parametrize("path", ALL, ids=ids(ALL))
def test_environment_variables_name_existing_settings(path):
    assert variables(path) <= KNOWN


@pytest.mark.parametrize("path", ALL, ids=ids(ALL))
def test_probes_use_existing_paths(path):
    asked = set(
        re.findall(r"(?<![\w.$}/])/(?:healthz|readyz|livez|health|ready)\b", path.read_text())
    )

    assert asked <= PATHS


def test_ports_are_those_that_the_service_listens_on():
    exposed = re.findall(r"^EXPOSE (\d+)", DOCKERFILE.read_text(), re.MULTILINE)
    published = [
        int(port.rsplit(":", 1)[1])
        for path in COMPOSE
        for port in loaded(path)["services"].get("service", {}).get("ports", ())
    ]
    pod = (CHART / "templates" / "_helpers.tpl").read_text()
    listened = [mapping["ContainerPort"] for one in containers() for mapping in one["PortMappings"]]

    assert int(exposed[-1]) == PORT
    assert {*published} == {PORT}
    assert {int(port) for port in re.findall(r"containerPort: (\d+)", pod)} == {PORT}
    assert {*listened} | {group["Port"] for group in target_groups()} == {PORT}


def test_every_kill_timeout_is_longer_than_a_full_shutdown():
    values = loaded(CHART / "values.yaml")
    waits = [(float(values["terminationGracePeriodSeconds"]), values["settings"])]
    for path in COMPOSE:
        service = loaded(path)["services"].get("service", {})
        if "build" in service:
            waits.append((float(service["stop_grace_period"].rstrip("s")), {}))
    for container in containers():
        chosen = environment(container)
        times = {name: float(chosen[f"{PREFIX}{name.upper()}"]) for name in DEFAULTS}
        waits.append((float(container["StopTimeout"]), times))

    assert len(waits) > 2
    for waited, chosen in waits:
        assert waited > sum(float({**DEFAULTS, **chosen}[name]) for name in DEFAULTS) + DRAIN


def test_on_ecs_the_shutdown_delay_outlasts_the_load_balancers_health_checks():
    (group,) = target_groups()
    (container,) = containers()

    looks = group["HealthCheckIntervalSeconds"] * group["UnhealthyThresholdCount"]
    assert float(environment(container)[f"{PREFIX}SHUTDOWN_DELAY"]) > looks


def test_on_ecs_timeouts_are_ordered_so_that_no_request_is_lost():
    (path,) = [path for path in AWS if resources(path, "AWS::ECS::TaskDefinition")]
    (balancer,) = resources(path, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    idle = next(
        float(one["Value"])
        for one in balancer["LoadBalancerAttributes"]
        if one.get("Key") == "idle_timeout.timeout_seconds"
    )
    (container,) = containers()
    chosen = environment(container)

    assert float(chosen[f"{PREFIX}MAX_REQUEST_TIMEOUT"]) < idle
    assert float(chosen[f"{PREFIX}KEEP_ALIVE"]) > idle


def test_the_ecs_settings_start_the_service(monkeypatch):
    (container,) = containers()
    for name, value in environment(container).items():
        # The true branch of a condition; any value for what is known only at deployment.
        if isinstance(value, dict):
            value = value["Fn::If"][1] if "Fn::If" in value else "us-east-1"
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(f"{PREFIX}KEYS", "[]")
    monkeypatch.setenv(f"{PREFIX}MODEL_ID", MODEL)
    monkeypatch.setenv(f"{PREFIX}FILES_BUCKET", "vision/files")
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", "rediss://redis:6379/0")
    monkeypatch.setenv(f"{PREFIX}POSTGRES_URL", "postgresql://u:p@pg/db?sslmode=verify-full")

    loaded_settings = Settings(_env_file=None)

    assert loaded_settings.limits_store == "redis"
    assert loaded_settings.queue_store == "postgres"
    assert loaded_settings.files_store == "s3"


def test_ecs_scales_by_a_metric_that_the_service_writes():
    lines: list[str] = []
    EmbeddedGauges("Ns", write=lines.append).sample(0)
    written = json.loads(lines[0])
    (path,) = [path for path in AWS if resources(path, "AWS::ECS::TaskDefinition")]
    (metric,) = [
        policy["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
        for policy in resources(path, "AWS::ApplicationAutoScaling::ScalingPolicy")
        if policy["PolicyName"] == "bytes-in-flight"
    ]
    (container,) = containers()

    assert PROCESS_UNITS[metric["MetricName"]] == metric["Unit"]
    assert metric["Namespace"] == environment(container)[f"{PREFIX}EMF_NAMESPACE"]
    assert [(one["Name"], one["Value"]) for one in metric["Dimensions"]] == [
        ("Service", written["Service"])
    ]
