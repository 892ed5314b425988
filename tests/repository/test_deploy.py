"""The dashboard and the alerts read existing metrics, and each alert is explained."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from app.domain import errors
from app.telemetry.metrics import COUNTERS, GAUGES, HISTOGRAMS

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/llama-vision.json").read_text())
RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"][0]["rules"]

EXPOSED: dict[str, tuple[str, ...]] = {
    **{name: labels for name, (_, labels) in COUNTERS.items()},
    **{name: labels for name, (_, labels) in GAUGES.items()},
    **{
        f"{name}_{suffix}": (*labels, *(("le",) if suffix == "bucket" else ()))
        for name, (_, labels, _) in HISTOGRAMS.items()
        for suffix in ("bucket", "sum", "count")
    },
}
EXPRESSIONS = [
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
    *(rule["expr"] for rule in RULES),
]


def nodes(expression: str) -> list[Any]:
    """Return every node of ``expression``, as parsed by a PromQL parser."""
    found: list[Any] = []
    parsed = promql_parser.parse(expression.replace("$__rate_interval", "5m"))
    promql_parser.walk(parsed, pre_visit=found.append)
    return found


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    """Return the selectors of ``expression``."""
    found = nodes(expression)
    ranges = [n.vector_selector for n in found if isinstance(n, promql_parser.MatrixSelector)]
    return ranges + [n for n in found if isinstance(n, promql_parser.VectorSelector)]


def asked(expression: str) -> set[str]:
    """Return the metrics that ``expression`` reads."""
    return {str(selector.name) for selector in selectors(expression)}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_reads_existing_metrics_and_labels(expression):
    assert asked(expression)
    for selector in selectors(expression):
        known = EXPOSED[str(selector.name)]
        assert {matcher.name for matcher in selector.matchers.matchers} <= {*known}
        for node in nodes(expression):
            if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
                assert {*node.modifier.labels} <= {*known}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_counters_are_read_as_rates(expression):
    instant = [n.name for n in nodes(expression) if isinstance(n, promql_parser.VectorSelector)]
    in_ranges = [
        n.vector_selector.name
        for n in nodes(expression)
        if isinstance(n, promql_parser.MatrixSelector)
    ]

    assert {*instant} - {*in_ranges} <= {*GAUGES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_every_alert_has_the_members_that_prometheus_requires_and_a_runbook_section(
    rule: dict[str, Any],
):
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+m", rule["for"])
    assert rule["labels"]["severity"] in ("page", "ticket")
    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor == rule["alert"].lower()
    assert f"\n## {rule['alert']}\n" in (ROOT / path).read_text()


def test_every_error_code_that_an_alert_watches_exists():
    codes = {
        code
        for rule in RULES
        for selector in selectors(rule["expr"])
        for matcher in selector.matchers.matchers
        if matcher.name == "code"
        for code in matcher.value.split("|")
    }

    assert codes
    assert codes <= {error.code for error in errors.catalogue()}


def test_every_metric_is_on_the_dashboard():
    shown = {name for expression in EXPRESSIONS for name in asked(expression)}
    bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}

    assert {*COUNTERS, *HISTOGRAMS, *GAUGES} - bases == set()


def test_the_dashboard_is_valid_for_grafana():
    assert DASHBOARD["schemaVersion"] >= 36
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_runbook_says_where_to_look_for_every_server_error():
    text = (ROOT / "docs/operations.md").read_text()
    (section,) = re.findall(r"\n## LlamaVisionFailing\n(.*?)\n## ", text, re.DOTALL)
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    listed = [name.strip("`") for row in rows for name in row.split(", ")]

    codes = {error.code for error in errors.catalogue() if error.status >= 500}
    assert codes
    for code in codes:
        assert any(fnmatchcase(code, name) for name in listed), code
