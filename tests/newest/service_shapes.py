"""Write the shapes of AWS's newest service models, against which tests check the emulator.

Run by the Python of an environment with the newest boto3:
``python tests/newest/service_shapes.py > tests/data/aws-shapes.json``.
"""

import json
import sys
from typing import Any

import botocore
from botocore.loaders import Loader

OPERATIONS = {
    "bedrock": (
        "CreateModelImportJob",
        "GetModelImportJob",
        "ListModelImportJobs",
        "GetImportedModel",
        "ListImportedModels",
        "DeleteImportedModel",
        "GetFoundationModel",
        "ListFoundationModels",
        "GetInferenceProfile",
        "ListInferenceProfiles",
        "CreateModelInvocationJob",
        "GetModelInvocationJob",
        "ListModelInvocationJobs",
        "StopModelInvocationJob",
    ),
    "bedrock-runtime": (
        "InvokeModel",
        "InvokeModelWithResponseStream",
        "ApplyGuardrail",
        "InvokeGuardrailChecks",
    ),
    "bedrock-agent-runtime": ("Retrieve",),
}


def undocumented(node: Any) -> Any:
    """Return part of a service model without its documentation, which is half of it."""
    if isinstance(node, dict):
        return {k: undocumented(v) for k, v in node.items() if not _is_text(k, v)}
    return [undocumented(part) for part in node] if isinstance(node, list) else node


def _is_text(key: str, value: Any) -> bool:
    return key in ("documentation", "documentationUrl") and isinstance(value, str)


def reached(shapes: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Return the shapes with these names and all shapes that they refer to."""
    kept: dict[str, Any] = {}
    waiting = sorted(names)
    while waiting:
        name = waiting.pop()
        if name not in kept:
            shape = kept[name] = shapes[name]
            members = [*shape.get("members", {}).values()]
            parts = [shape[part] for part in ("member", "key", "value") if part in shape]
            waiting.extend(part["shape"] for part in (*members, *parts))
    return dict(sorted(kept.items()))


def subset(service: str) -> dict[str, Any]:
    """Return a service model with the operations of `OPERATIONS` only."""
    model = undocumented(Loader().load_service_model(service, "service-2"))
    operations = {name: model["operations"][name] for name in OPERATIONS[service]}
    names = {
        part["shape"]
        for operation in operations.values()
        for part in (operation["input"], operation["output"], *operation.get("errors", ()))
    }
    return {
        "metadata": model["metadata"],
        "operations": operations,
        "shapes": reached(model["shapes"], names),
    }


def document() -> dict[str, Any]:
    """Return the complete document."""
    services = {service: subset(service) for service in OPERATIONS}
    return {"botocore": botocore.__version__, "services": services}


if __name__ == "__main__":
    json.dump(document(), sys.stdout, separators=(",", ":"), ensure_ascii=True)
    sys.stdout.write("\n")
