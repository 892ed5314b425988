"""Renders the chart with values from standard input and prints what its platforms say, as JSON.

Runs in the environment of machine/deployment.py, with Helm's own engine and Kubernetes' schemas.
"""

import json
import sys

import kubernetes_validate
import yaml
from helm_python import chart
from helm_python.errors import HelmError

CUSTOM = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1"}
"""Kinds whose schemas are not part of Kubernetes."""


def main(folder: str, versions: list[str]) -> dict[str, object]:
    values = json.load(sys.stdin)
    try:
        rendered = chart.Chart.load(folder).render(values, name="answers", namespace="vision")
    except HelmError as error:
        return {"refused": str(error)}
    documents = [
        document
        for name, text in rendered.items()
        if not name.endswith(".txt")
        for document in yaml.safe_load_all(text)
        if document
    ]
    faults = []
    for document in documents:
        if document["apiVersion"] in CUSTOM:
            continue
        for version in versions:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                faults.append(f"{version}: {document['kind']}: {error.message}")
    lint = chart.lint(folder, values=values, strict=True)
    return {"documents": documents, "faults": faults, "lint": lint}


json.dump(main(sys.argv[1], sys.argv[2:]), sys.stdout)
