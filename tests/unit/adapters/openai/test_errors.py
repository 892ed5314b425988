"""The translation of an OpenAI-compatible server's errors to ours."""

import json

import pytest

from app.adapters.http1 import errors as http1
from app.adapters.openai.errors import BY_STATUS, refusal, translated
from app.domain import errors


@pytest.mark.parametrize("status", BY_STATUS)
@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"error": "x"}', b"[" * 10**5])
def test_a_status_alone_decides_the_error(status, content):
    error = refusal(status, {"retry-after": "7"}, content)

    assert type(error) is BY_STATUS[status][0]
    assert error.retry_after == 7


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "temperature is wrong", "type": "BadRequestError", "code": 400}},
        {"object": "error", "message": "temperature is wrong", "code": 400},
    ],
)
def test_the_servers_own_message_is_passed_on_for_an_invalid_request(said):
    error = refusal(400, {}, json.dumps(said).encode())

    assert type(error) is errors.UpstreamValidationError
    assert error.detail == "temperature is wrong"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (503, "model_loading", errors.ModelLoadingError),
        (502, "model_end_of_life", errors.ModelEndOfLifeError),
        (429, "insufficient_quota", errors.UpstreamQuotaError),
        (429, "rate_limited", errors.ModelThrottledError),
        (418, "teapot", errors.UpstreamError),
        (307, "", errors.UpstreamError),
    ],
)
def test_a_code_takes_precedence_over_a_status(status, code, expected):
    said = {"error": {"message": "x", "code": code}}

    assert type(refusal(status, {}, json.dumps(said).encode())) is expected


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (http1.ConnectError("x"), errors.UpstreamUnreachableError),
        (http1.ConnectTimeoutError("x"), errors.UpstreamUnreachableError),
        (http1.ReadTimeoutError("x"), errors.UpstreamTimeoutError),
        (http1.DisconnectedError("x"), errors.UpstreamDisconnectedError),
    ],
)
def test_errors_keep_their_class_when_passed_on(raised, expected):
    with pytest.raises(expected), translated():
        raise raised
