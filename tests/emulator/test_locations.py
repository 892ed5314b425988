"""Locations that the control planes report, read by AWS's clients and newest shapes."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from app.emulator.config import EmulatorConfig
from tests.support.emulator.serving import serving

MODEL = "meta.llama3-2-11b-instruct-v1:0"
ELSEWHERE = f"arn:aws:bedrock:eu-central-1::foundation-model/{MODEL}"


@pytest.fixture(scope="module")
def placed(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("knowledge"))
    config = EmulatorConfig(
        guardrail_profiles={"strict": "us.guardrail.v1:0"},
        knowledge_bases={"ABCDEFGHIJ": folder},
    )
    with serving(config) as emulator:
        yield emulator


def test_provisioned_throughput_names_its_foundation_model(placed):
    arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123def456"
    told = placed.client("bedrock").get_provisioned_model_throughput(provisionedModelId=arn)

    assert told["provisionedModelArn"] == arn
    assert told["foundationModelArn"].endswith(MODEL)


def test_a_guardrail_names_its_region_and_its_cross_region_profile(placed):
    client = placed.client("bedrock")
    crossing = client.get_guardrail(guardrailIdentifier="strict")

    assert crossing["guardrailArn"].split(":")[3] == "us-east-1"
    assert crossing["crossRegionDetails"]["guardrailProfileId"] == "us.guardrail.v1:0"
    assert "crossRegionDetails" not in client.get_guardrail(guardrailIdentifier="emulator")
    with pytest.raises(ClientError, match="was not found"):
        client.get_guardrail(guardrailIdentifier="nobodys")


def test_a_knowledge_base_names_its_embedding_model(placed):
    client = placed.client("bedrock-agent")
    told = client.get_knowledge_base(knowledgeBaseId="ABCDEFGHIJ")["knowledgeBase"]

    vector = told["knowledgeBaseConfiguration"]["vectorKnowledgeBaseConfiguration"]
    assert vector["embeddingModelArn"].split(":")[3] == "us-east-1"
    with pytest.raises(ClientError, match="was not found"):
        client.get_knowledge_base(knowledgeBaseId="ZZZZZZZZZZ")


def test_the_admin_endpoints_move_a_profile_and_end_a_model(placed):
    client = placed.client("bedrock")
    placed.admin("POST", "inference-profiles/ours", json={"model_arns": [ELSEWHERE]})
    day = datetime.now(UTC).date() + timedelta(days=10)
    placed.admin("POST", f"foundation-models/{MODEL}", json={"end_of_life": day.isoformat()})

    profile = client.get_inference_profile(inferenceProfileIdentifier="ours")
    details = client.get_foundation_model(modelIdentifier=MODEL)["modelDetails"]
    assert [model["modelArn"] for model in profile["models"]] == [ELSEWHERE]
    assert details["modelLifecycle"]["status"] == "LEGACY"

    placed.admin("POST", f"foundation-models/{MODEL}", json={"end_of_life": None})
    details = client.get_foundation_model(modelIdentifier=MODEL)["modelDetails"]
    assert details["modelLifecycle"]["status"] == "ACTIVE"
