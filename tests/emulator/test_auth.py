"""Signatures and API keys, made by botocore and verified by the emulator."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from unittest.mock import patch

import botocore.auth
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from app.emulator.config import EmulatorConfig
from tests.support.emulator.bodies import MODEL, body, messages, plain
from tests.support.emulator.serving import KEYS, Served, serving

API_KEY = "bedrock-api-key-of-a-test"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Served]:
    keys = {KEYS["aws_access_key_id"]: KEYS["aws_secret_access_key"]}
    with serving(
        EmulatorConfig(auth="verify", access_keys=keys, api_keys=frozenset({API_KEY}))
    ) as served:
        yield served


def refused(client: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        client.invoke_model(modelId=MODEL, body=body())
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return cast("dict[str, Any]", caught.value.response["Error"])


def test_a_valid_signature_is_accepted_on_every_operation(guarded: Served) -> None:
    client, control = guarded.client(), guarded.client("bedrock")
    arn = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{MODEL}"
    assert client.invoke_model(modelId=arn, body=body("Hi", plain()))["body"].read()
    assert list(client.invoke_model_with_response_stream(modelId=MODEL, body=body())["body"])
    assert client.converse(modelId=arn, messages=messages())["stopReason"] == "end_turn"
    assert list(client.converse_stream(modelId=MODEL, messages=messages())["stream"])
    assert control.get_inference_profile(inferenceProfileIdentifier=arn)["status"] == "ACTIVE"
    listed = control.list_foundation_models(byProvider="Meta", byOutputModality="TEXT")
    assert len(listed["modelSummaries"]) == 2


def test_a_session_token_is_part_of_the_signature(guarded: Served) -> None:
    client = guarded.client(aws_session_token="a/session+token==")
    assert client.converse(modelId=MODEL, messages=messages())["stopReason"] == "end_turn"


def test_a_wrong_secret_is_an_invalid_signature(guarded: Served) -> None:
    error = refused(guarded.client(aws_secret_access_key="wrong"))
    assert error["Code"] == "InvalidSignatureException"
    assert error["Message"].startswith("The request signature we calculated does not match")


def test_an_unknown_access_key_is_an_unrecognized_client(guarded: Served) -> None:
    error = refused(guarded.client(aws_access_key_id="AKIDUNKNOWN"))
    assert error["Code"] == "UnrecognizedClientException"
    assert error["Message"] == "The security token included in the request is invalid."


def test_no_signature_is_a_missing_token(guarded: Served) -> None:
    error = refused(guarded.client(config=Config(signature_version=UNSIGNED)))
    assert error["Code"] == "MissingAuthenticationTokenException"


def test_a_signature_for_another_region_has_the_wrong_scope(guarded: Served) -> None:
    error = refused(guarded.client(region_name="eu-west-1"))
    assert error["Code"] == "InvalidSignatureException"
    assert error["Message"] == "Credential should be scoped to correct region: 'us-east-1'."


def test_a_signature_for_another_service_has_the_wrong_scope(guarded: Served) -> None:
    client = guarded.client()

    def rescope(request: Any, **_: Any) -> None:
        signed = request.headers["Authorization"].decode()
        request.headers["Authorization"] = signed.replace("/bedrock/", "/s3/")

    client.meta.events.register("before-send.bedrock-runtime", rescope)
    assert "correct service: 'bedrock'" in refused(client)["Message"]


@pytest.mark.parametrize(
    ("hours", "told"), [(-1, "Signature expired"), (1, "Signature not yet current")]
)
def test_a_signature_with_a_wrong_clock_is_refused(guarded: Served, hours: int, told: str) -> None:
    now = datetime.now(tz=UTC).replace(tzinfo=None) + timedelta(hours=hours)
    client = guarded.client()
    with patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: now):
        error = refused(client)
    assert error["Code"] == "InvalidSignatureException"
    assert error["Message"].startswith(told)


def test_a_body_changed_after_signing_is_refused(guarded: Served) -> None:
    client = guarded.client()

    def change(request: Any, **_: Any) -> None:
        request.body = request.body.replace(b"Hello", b"Jello")

    client.meta.events.register("before-send.bedrock-runtime", change)
    assert refused(client)["Code"] == "InvalidSignatureException"


def test_a_declared_body_hash_must_match_the_body(guarded: Served) -> None:
    client = guarded.client()
    client.meta.events.register(
        "before-sign.bedrock-runtime",
        lambda request, **_: request.headers.add_header("X-Amz-Content-SHA256", "0" * 64),
    )
    assert "x-amz-content-sha256" in refused(client)["Message"]


def test_a_malformed_authorization_header_is_an_incomplete_signature(guarded: Served) -> None:
    client = guarded.client()

    def spoil(request: Any, **_: Any) -> None:
        request.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE"

    client.meta.events.register("before-send.bedrock-runtime", spoil)
    assert refused(client)["Code"] == "IncompleteSignatureException"


@pytest.mark.parametrize("header", ["host", "x-amz-date"])
def test_host_and_date_must_be_signed(guarded: Served, header: str) -> None:
    client = guarded.client()

    def unsign(request: Any, **_: Any) -> None:
        signed = request.headers["Authorization"].decode()
        request.headers["Authorization"] = signed.replace(f"{header};", "").replace(
            f";{header}", ""
        )

    client.meta.events.register("before-send.bedrock-runtime", unsign)
    assert "must be a 'SignedHeader'" in refused(client)["Message"]


def test_an_api_key_is_accepted(guarded: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", API_KEY)
    assert guarded.client().converse(modelId=MODEL, messages=messages())["usage"]
    assert guarded.client("bedrock").list_inference_profiles()["inferenceProfileSummaries"]


def test_a_wrong_api_key_is_denied(guarded: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "another")
    error = refused(guarded.client())
    assert error["Code"] == "AccessDeniedException"
    assert "API Key" in error["Message"]


@pytest.mark.parametrize("config", [Config(signature_version=UNSIGNED), Config()])
def test_without_verification_everyone_is_accepted(emulator: Served, config: Config) -> None:
    client = emulator.client(config=config, region_name="ap-south-1", aws_secret_access_key="any")
    assert client.converse(modelId=MODEL, messages=messages())["stopReason"] == "end_turn"


def test_the_configuration_does_not_print_its_secrets() -> None:
    config = EmulatorConfig(access_keys={"AKID": "s3cret"}, api_keys=frozenset({API_KEY}))
    assert "s3cret" not in repr(config)
    assert API_KEY not in repr(config)
