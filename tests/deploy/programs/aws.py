"""Prints what AWS's tools say of CloudFormation and SAM templates, as JSON by their paths.

Runs in the environment of machine/deployment.py: cfn-lint, SAM's translator and cloudsplaining.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cfnlint.api import lint_file
from cfnlint.decode import cfn_yaml
from cloudsplaining.scan.policy_document import PolicyDocument
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

RISKS = (
    "allows_privilege_escalation",
    "allows_data_exfiltration_actions",
    "credentials_exposure",
    "permissions_management_without_constraints",
    "service_wildcard",
    "write_actions_without_constraints",
)


def report(path: str) -> dict[str, Any]:
    template = json.loads(json.dumps(cfn_yaml.load(path)))
    lint = [f"{match.rule.id}: {match.message}" for match in lint_file(Path(path))]
    try:
        found = [*risks(translated(template))]
    except InvalidDocumentException as error:
        lint.append(error.message)
        found = []
    return {"lint": lint, "template": template, "risks": found}


def translated(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template as CloudFormation receives it."""
    if "Transform" not in template:
        return template
    copy = json.loads(json.dumps(template))
    plain: dict[str, Any] = Translator({}, Parser()).translate(copy, parameter_values={})
    return plain


def risks(template: dict[str, Any]) -> Iterator[str]:
    """Yield each risk as `resource: risk: actions`."""
    for name, resource in template["Resources"].items():
        for document in policies(resource):
            policy = PolicyDocument(plain(document))
            for risk in RISKS:
                if actions := getattr(policy, risk):
                    yield f"{name}: {risk}: {', '.join(map(str, actions))}"


def policies(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the policies that the resource grants to identities."""
    if not resource["Type"].startswith("AWS::IAM::"):
        return
    properties = resource["Properties"]
    for policy in [properties, *properties.get("Policies", ())]:
        if "PolicyDocument" in policy:
            yield policy["PolicyDocument"]


def plain(value: Any) -> Any:
    """Return ``value`` with values known only at deployment replaced by a named resource."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:
        return plain(value["Fn::If"][1])
    if len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
        return "arn:aws:service:region:000000000000:named/resource"
    return {key: plain(one) for key, one in value.items()}


# Both require a region and make no call.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
json.dump({path: report(path) for path in sys.argv[1:]}, sys.stdout)
