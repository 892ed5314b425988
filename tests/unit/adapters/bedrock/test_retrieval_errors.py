"""The translation of Retrieve's errors to ours, checked against the newest service model."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from app.adapters.bedrock.retrieval_errors import TABLE, from_client_error, translation
from app.adapters.http1 import errors as http1
from app.domain import errors

SHAPES = Path(__file__).parents[3] / "data" / "aws-shapes.json"


def reply(code: str, status: int, message: str = "", **headers: str) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return ClientError(response, "Retrieve")


def test_every_exception_of_the_newest_service_model_has_its_row():
    model = json.loads(SHAPES.read_text())["services"]["bedrock-agent-runtime"]
    declared = {error["shape"] for error in model["operations"]["Retrieve"]["errors"]}

    assert declared
    assert declared - TABLE.keys() == set()


def test_awss_message_is_passed_on_only_for_an_invalid_request():
    refused = from_client_error(reply("ValidationException", 400, "startsWith is not known"))
    denied = from_client_error(
        reply("AccessDeniedException", 403, "arn:aws:iam::123456789012:role/x may not")
    )

    assert "startsWith is not known" in refused.detail
    assert "123456789012" not in denied.detail
    assert "bedrock:Retrieve" in denied.detail


def test_a_vector_store_that_is_resuming_is_retryable():
    paused = "The Aurora DB instance is resuming after being auto-paused."

    assert type(from_client_error(reply("ValidationException", 400, paused))) is (
        errors.KnowledgeBaseBusyError
    )


def test_retry_after_is_passed_on():
    wait = {"retry-after": "7"}

    assert from_client_error(reply("ThrottlingException", 429, **wait)).retry_after == 7


@pytest.mark.parametrize("error", [http1.ReadTimeoutError("x"), http1.ConnectError("x")])
def test_a_connection_error_mentions_the_knowledge_base(error):
    found = translation(error)

    assert found is not None
    assert "knowledge base" in found.detail
