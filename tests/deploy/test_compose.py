"""The services of `docker compose --profile full up` fit the code and its own files."""

import re
from typing import Any

import yaml

from app.settings import PREFIX, Settings
from fixtures.process import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
REPLICAS = {name: SERVICES[name] for name in ("replica-1", "replica-2")}


def test_the_profile_has_all_parts_and_a_plain_start_none_of_them():
    full = {name for name, one in SERVICES.items() if one.get("profiles") == ["full"]}

    assert full == {*REPLICAS, "nginx", "redis", "postgres", "prometheus", "grafana"}


def test_third_party_images_are_pinned_by_digest_and_state_their_version():
    images = [one["image"] for one in SERVICES.values() if "image" in one]
    images += re.findall(r"^ARG LAMBDA_ADAPTER=(\S+)$", DOCKERFILE, re.MULTILINE)

    assert len(images) == 6
    for image in images:
        assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?@sha256:[0-9a-f]{64}", image), image


def test_replicas_start_with_these_settings_and_share_all_state_that_matters(monkeypatch):
    for replica in REPLICAS.values():
        named = {
            name: text for name, text in replica["environment"].items() if name.startswith(PREFIX)
        }
        assert {*named} <= {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
        for name, text in named.items():
            monkeypatch.setenv(name, text)
        settings = Settings(_env_file=None)
        assert (settings.limits_store, settings.idempotency_store) == ("redis", "redis")
        assert (settings.usage_store, settings.queue_store) == ("postgres", "postgres")
        assert replica["ports"] == []
        # Files for batches: both replicas share one directory.
        assert replica["volumes"] == ["usage:/var/lib/llama-vision"]


def test_nginx_has_the_tested_configuration_with_other_names():
    rehearsed = (ROOT / "deploy/nginx/llama-vision.conf").read_text()
    own = (ROOT / "deploy/compose/nginx.conf").read_text()

    renamed = rehearsed.replace(" replica:", " replica-1:").replace(" service:", " replica-2:")
    assert own.splitlines()[2:] == renamed.splitlines()[2:]


def test_prometheus_scrapes_each_replica_on_its_metrics_path():
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (job,) = config["scrape_configs"]

    assert job["metrics_path"] == "/metrics"
    assert job["static_configs"] == [{"targets": [f"{name}:8000" for name in REPLICAS]}]
    assert Settings.model_fields["port"].default == 8000
    for file in config["rule_files"]:
        assert (ROOT / "deploy/prometheus" / file).is_file()


def test_every_mounted_file_exists_and_grafana_reads_prometheus():
    mounts = [
        volume.split(":")[0]
        for one in SERVICES.values()
        for volume in one.get("volumes", [])
        if volume.startswith("./")
    ]
    (source,) = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text()
    )["datasources"]

    assert len(mounts) == 4
    assert all((ROOT / mount).exists() for mount in mounts)
    assert source["url"] == "http://prometheus:9090"
