"""Each alert fires in its state after its time, and at no other time.

The cases are in promtool's own format: ``promtool test rules alerts_test.yml`` runs the same file
where Prometheus is installed.
"""

from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from app.telemetry.metrics import WEBHOOK_ATTEMPTS, Metrics
from tests.support.repository.promql import Series, evaluated

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
CASES = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())
RULES = {
    rule["alert"]: rule
    for name in CASES["rule_files"]
    for group in yaml.safe_load((FOLDER / name).read_text())["groups"]
    for rule in group["rules"]
}
MINUTE = 60.0


def seconds(text: str) -> float:
    duration = promql_parser.parse_duration(text)
    assert duration is not None
    return float(duration.total_seconds())


def firing(rule: dict[str, Any], series: list[Series], at: float) -> list[dict[str, str]]:
    """Return the labels of the alerts firing at ``at``: true at every evaluation for their time."""
    held = int(seconds(rule["for"]) / MINUTE)
    times = [at - MINUTE * back for back in range(held + 1)]
    results = [{*evaluated(rule["expr"], series, time)} for time in times]
    always = set.intersection(*results)
    return [{**dict(labels), **rule["labels"]} for labels in always]


@pytest.mark.parametrize("case", CASES["tests"], ids=lambda case: case["name"])
def test_alerts_fire_exactly_as_their_cases_expect(case):
    interval = seconds(case["interval"])
    series = [Series.parse(one["series"], one["values"], interval) for one in case["input_series"]]

    for check in case["alert_rule_test"]:
        rule = RULES[check["alertname"]]
        fired = firing(rule, series, seconds(check["eval_time"]))
        expected = [alert["exp_labels"] for alert in check["exp_alerts"]]
        assert fired == expected, check["eval_time"]
        for alert in check["exp_alerts"]:
            assert alert["exp_annotations"] == rule["annotations"]


def test_every_alert_is_tested_both_firing_and_silent():
    checks = [check for case in CASES["tests"] for check in case["alert_rule_test"]]

    for wanted in (True, False):
        seen = {check["alertname"] for check in checks if bool(check["exp_alerts"]) is wanted}
        assert seen == {*RULES}


async def test_the_counter_of_abandoned_webhooks_starts_at_zero():
    metrics = Metrics()
    name = 'llama_vision_webhook_attempts_total{outcome="given_up"}'
    before = (await metrics.render()).decode()

    metrics.count(WEBHOOK_ATTEMPTS, outcome="given_up")

    assert f"{name} 0.0\n" in before
    assert f"{name} 1.0\n" in (await metrics.render()).decode()
