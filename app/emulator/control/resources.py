"""Guardrails and knowledge bases as the control planes describe them: where they are."""

from typing import Any

from app.emulator.config import EmulatorConfig
from app.emulator.wire.errors import NOT_FOUND, AwsError

_SINCE = "2026-01-01T00:00:00Z"


def guardrail(config: EmulatorConfig, identifier: str) -> dict[str, Any]:
    """Return GetGuardrail of a configured guardrail, or raise a 404."""
    if identifier not in config.guardrails:
        raise AwsError(NOT_FOUND, f"The guardrail {identifier} was not found.")
    place = f"arn:aws:bedrock:{config.region}:{config.account}"
    profile = config.guardrail_profiles.get(identifier)
    details = {
        "guardrailProfileId": profile,
        "guardrailProfileArn": f"{place}:guardrail-profile/{profile}",
    }
    return {
        "name": identifier,
        "guardrailId": identifier,
        "guardrailArn": f"{place}:guardrail/{identifier}",
        "version": "DRAFT",
        "status": "READY",
        "createdAt": _SINCE,
        "updatedAt": _SINCE,
        "blockedInputMessaging": "Blocked.",
        "blockedOutputsMessaging": "Blocked.",
        **({"crossRegionDetails": details} if profile else {}),
    }


def knowledge_base(config: EmulatorConfig, identifier: str) -> dict[str, Any]:
    """Return GetKnowledgeBase of a configured knowledge base, or raise a 404."""
    if identifier not in config.knowledge_bases:
        raise AwsError(NOT_FOUND, f"The knowledge base {identifier} was not found.")
    region, account = config.region, config.account
    return {
        "knowledgeBase": {
            "knowledgeBaseId": identifier,
            "name": identifier,
            "knowledgeBaseArn": f"arn:aws:bedrock:{region}:{account}:knowledge-base/{identifier}",
            "roleArn": f"arn:aws:iam::{account}:role/knowledge",
            "knowledgeBaseConfiguration": {
                "type": "VECTOR",
                "vectorKnowledgeBaseConfiguration": {
                    "embeddingModelArn": f"arn:aws:bedrock:{region}::foundation-model/"
                    "amazon.titan-embed-text-v2:0"
                },
            },
            "status": "ACTIVE",
            "createdAt": _SINCE,
            "updatedAt": _SINCE,
        }
    }
