"""Reads the deployment templates that are plain YAML."""

import re
from pathlib import Path
from typing import Any

import yaml

from fixtures.process import ROOT

AWS = sorted((ROOT / "deploy" / "aws").rglob("template.yaml"))
"""Templates of CloudFormation and SAM."""
COMPOSE = sorted([ROOT / "docker-compose.yml", *(ROOT / "deploy").rglob("docker-compose*.yml")])
CHART = ROOT / "deploy" / "helm" / "llama-vision"
DOCKERFILE = ROOT / "Dockerfile"
ALL = [*AWS, *COMPOSE, DOCKERFILE, *sorted(p for p in CHART.rglob("*") if p.suffix == ".yaml")]


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short intrinsic functions as the long ones."""


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)


def loaded(path: Path) -> Any:
    """Return the content of the YAML file at ``path``."""
    return yaml.load(path.read_text(), _Loader)


def resources(path: Path, kind: str) -> list[dict[str, Any]]:
    """Return the properties of the template's resources of this type."""
    every = loaded(path)["Resources"].values()
    return [one.get("Properties", {}) for one in every if one["Type"] == kind]


def variables(path: Path) -> set[str]:
    """Return the service's environment variables that occur in the file."""
    return set(re.findall(r"\bLLAMA_VISION_[A-Z0-9_]*[A-Z0-9]\b", path.read_text()))
