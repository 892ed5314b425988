"""The translation of AWS's errors to ours."""

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import botocore.session
import pytest
from botocore import exceptions as aws
from botocore.eventstream import ChecksumMismatch

from app.adapters.bedrock.errors import TABLE, from_client_error, translated
from app.domain import errors

OPERATIONS = ("InvokeModel", "InvokeModelWithResponseStream", "Converse", "ConverseStream")


def modelled() -> set[str]:
    """Return every exception in botocore's service model."""
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    shapes = {
        shape.name for name in OPERATIONS for shape in model.operation_model(name).error_shapes
    }
    shapes |= {
        name for name in model.shape_names if model.shape_for(name).metadata.get("exception")
    }
    assert "ThrottlingException" in shapes
    return shapes


def reply(code: str, message: str = "", status: int = 0, **more) -> aws.ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, **more}
    if status:
        response["ResponseMetadata"] = {"HTTPStatusCode": status, "HTTPHeaders": {}}
    return aws.ClientError(response, "InvokeModel")


def test_every_exception_of_the_service_model_has_its_row():
    assert modelled() - set(TABLE) == set()


@pytest.mark.parametrize("code", sorted(TABLE))
def test_both_spellings_of_a_code_give_the_same_error(code):
    in_reply = from_client_error(reply(code, "m", 400))
    in_stream = from_client_error(reply(code[0].lower() + code[1:], "m"))
    coral = from_client_error(reply(f"{code}:http://internal.amazon.com/coral/", "m", 400))

    assert type(in_reply) is type(in_stream) is type(coral) is TABLE[code][0]


@pytest.mark.parametrize(
    ("code", "message", "status", "expected"),
    [
        (
            "ResourceNotFoundException",
            "This model version has reached the end of its life. Please refer to …",
            404,
            errors.ModelEndOfLifeError,
        ),
        (
            "ResourceNotFoundException",
            "Access denied. This Model is marked by provider as Legacy and you have not been …",
            404,
            errors.ModelLegacyError,
        ),
        ("ResourceNotFoundException", "Could not resolve", 404, errors.ModelNotFoundError),
        (
            "ValidationException",
            "Invocation of model ID meta.llama3-2-11b-instruct-v1:0 with on-demand throughput "
            "isn\u2019t supported. Retry with the ID of an inference profile",
            400,
            errors.OnDemandUnsupportedError,
        ),
        (
            "ValidationException",
            "The provided model identifier is invalid.",
            400,
            errors.ModelNotFoundError,
        ),
        ("ValidationException", "Malformed input request", 400, errors.UpstreamValidationError),
        ("", "", 529, errors.ModelOverloadedError),
        ("502", "Bad Gateway", 502, errors.UpstreamUnavailableError),
        ("504", "Gateway Timeout", 504, errors.UpstreamUnavailableError),
        ("NewException", "", 418, errors.UpstreamError),
    ],
)
def test_bedrocks_message_distinguishes_errors_of_one_code(code, message, status, expected):
    assert type(from_client_error(reply(code, message, status))) is expected


def test_errors_that_an_operator_can_fix_say_how():
    def detail(code, message="", status=400):
        return from_client_error(reply(code, message, status)).detail

    eol = detail("ResourceNotFoundException", "reached the end of its life", 404)
    assert "import" in eol
    assert "successor" in eol
    assert "LLAMA_VISION_MODEL_ID" in eol
    assert "bedrock:InvokeModel" in detail("AccessDeniedException", status=403)
    assert "AWS_BEARER_TOKEN_BEDROCK" in detail("ExpiredTokenException", status=403)
    assert "us.meta" in detail("ValidationException", "on-demand throughput isn't supported")


def test_a_models_own_refusal_is_distinguished_by_its_original_status():
    refused = from_client_error(reply("ModelErrorException", "bad", 424, originalStatusCode=400))
    failed = from_client_error(reply("ModelErrorException", "bad", 424, originalStatusCode=500))

    assert type(refused) is errors.UpstreamValidationError
    assert type(failed) is errors.ModelFailedError


def patience(header: str) -> float | None:
    error = reply("ThrottlingException", "slow down", 429)
    error.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] = header
    return from_client_error(error).retry_after


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("0", 0), ("1.5", 1.5)])
def test_retry_after_is_passed_on(header, seconds):
    assert patience(header) == seconds


def test_retry_after_may_be_a_date():
    soon = datetime.now(UTC) + timedelta(seconds=60)

    assert patience(format_datetime(soon, usegmt=True)) == pytest.approx(60, abs=2)
    assert patience(soon.strftime("%a, %d %b %Y %H:%M:%S -0000")) == pytest.approx(60, abs=2)
    assert patience("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@pytest.mark.parametrize("header", ["", "soon", "nan", "inf", "-inf", "1e400", "-5", "Wed, 99"])
def test_a_retry_after_without_a_valid_time_is_ignored(header):
    assert patience(header) is None


@pytest.mark.parametrize(
    ("code", "status", "named"),
    [("NewException", 418, "NewException"), ("", 418, "418"), ("", 0, "no name")],
)
def test_an_unknown_error_is_reported_with_everything_known_about_it(code, status, named):
    assert named in from_client_error(reply(code, "", status)).detail


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (aws.NoCredentialsError(), errors.UpstreamCredentialsError),
        (aws.ReadTimeoutError(endpoint_url="x"), errors.UpstreamTimeoutError),
        (aws.ConnectTimeoutError(endpoint_url="x"), errors.UpstreamUnreachableError),
        (aws.EndpointConnectionError(endpoint_url="x", error=socket.gaierror()),
         errors.UpstreamUnreachableError),
        (aws.EndpointConnectionError(endpoint_url="x", error=aiohttp.ClientOSError()),
         errors.UpstreamDisconnectedError),
        (aws.ConnectionClosedError(endpoint_url="x"), errors.UpstreamDisconnectedError),
        (aws.ParamValidationError(report="x"), errors.UpstreamError),
        (ChecksumMismatch(1, 2), errors.UpstreamDisconnectedError),
        (aiohttp.ClientPayloadError(), errors.UpstreamDisconnectedError),
        (aiohttp.SocketTimeoutError(), errors.UpstreamTimeoutError),
        (ConnectionResetError(), errors.UpstreamDisconnectedError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)  # fmt: skip
def test_the_clients_own_errors_are_translated_with_their_cause(raised, expected):
    with pytest.raises(errors.UpstreamError) as caught, translated():
        raise raised

    assert type(caught.value) is expected
    assert caught.value.__cause__ is raised
