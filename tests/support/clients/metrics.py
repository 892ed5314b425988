"""Reads Prometheus's text format and the tables of docs/metrics.md."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
MODEL = "us.meta.llama3-2-11b-instruct-v1:0"


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    """Return a sample's value, or raise KeyError."""
    return samples(text)[name, frozenset(labels.items())]


def documented() -> dict[str, tuple[str, str, str]]:
    """Return kind, labels and meaning of each metric in the docs."""
    row = r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*) \|$"
    rows = re.findall(row, section("Metrics"), re.MULTILINE)
    return {name: (kind, labels, text) for name, kind, labels, text in rows}


def section(title: str) -> str:
    (text,) = re.findall(
        rf"^## {title}\n(.*?)(?=^## |\Z)", DOCS.read_text(), re.MULTILINE | re.DOTALL
    )
    return str(text)
