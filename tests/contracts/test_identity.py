"""Authentication to Bedrock, checked by the emulator, which verifies signatures and keys."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aioboto3
import pytest
from aiobotocore.credentials import AioRefreshableCredentials
from structlog.testing import capture_logs

from app.adapters.bedrock.identity.credentials import Connection
from app.adapters.bedrock.identity.sigv4 import AwsIdentity, Signer
from app.adapters.bedrock.runtime import open_runtime
from app.domain.errors import UpstreamCredentialsError
from app.domain.generation import Delta, ModelRequest, Role, Turn
from app.domain.model import Dialect, identify
from app.domain.ports import VisionModel
from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.wiring.model import vision_model
from tests.support.servers.uvicorn import serving

MODEL_ID = "us.meta.llama3-2-11b-instruct-v1:0"
ARN = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{MODEL_ID}"
KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI")
API_KEY = "bedrock-api-key-of-a-test"
ASKED = ModelRequest(turns=(Turn(Role.USER, "Why is the sky blue?"),))


@pytest.fixture(scope="module")
def guarded_url() -> Iterator[str]:
    config = EmulatorConfig(
        auth="verify", access_keys=dict([KEYS]), api_keys=frozenset({API_KEY}), region="us-east-1"
    )
    with serving(create_emulator(config)) as url:
        yield url


@asynccontextmanager
async def model(
    url: str, session: aioboto3.Session, model_id: str = MODEL_ID
) -> AsyncIterator[VisionModel]:
    async with open_runtime(session, Connection("us-east-1", url)) as runtime:
        yield vision_model(Dialect.INVOKE, runtime, identify(model_id))


async def both(asked: VisionModel) -> tuple[str, str]:
    """Return a plain and a streamed answer."""
    whole = await asked.generate(ASKED)
    async with asked.stream(ASKED) as parts:
        pieces = [part async for arrived in parts for part in arrived]
    return whole.text, "".join(part.text for part in pieces if isinstance(part, Delta))


def session(secret: str = KEYS[1], token: str | None = None) -> aioboto3.Session:
    return aioboto3.Session(KEYS[0], secret, token)


@pytest.mark.parametrize("token", [None, "a/session+token=="])
@pytest.mark.parametrize("model_id", [MODEL_ID, ARN])
async def test_requests_signed_by_us_are_accepted(guarded_url, token, model_id):
    async with model(guarded_url, session(token=token), model_id) as asked:
        whole, streamed = await both(asked)

    assert whole
    assert streamed


async def test_a_body_signed_in_a_thread_is_accepted(guarded_url):
    long = ModelRequest(turns=(Turn(Role.USER, "word " * 300_000),))
    async with model(guarded_url, session()) as asked:
        assert (await asked.generate(long)).text


async def test_a_bedrock_api_key_is_accepted_and_takes_precedence_over_credentials(
    guarded_url, monkeypatch
):
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", API_KEY)
    async with model(guarded_url, session("wrong")) as asked:
        whole, streamed = await both(asked)

    assert whole
    assert streamed


async def test_a_wrong_secret_is_reported_as_such(guarded_url):
    async with model(guarded_url, session("wrong")) as asked:
        with pytest.raises(UpstreamCredentialsError):
            await asked.generate(ASKED)
        with pytest.raises(UpstreamCredentialsError):
            await asked.stream(ASKED).__aenter__()


async def test_a_wrong_api_key_is_reported_as_such_and_logged_in_awss_words(
    guarded_url, monkeypatch
):
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "another")
    async with model(guarded_url, session()) as asked:
        with capture_logs() as lines, pytest.raises(UpstreamCredentialsError):
            await asked.generate(ASKED)

    assert [line["said"] for line in lines] == [
        "Authentication failed: Please make sure your API Key is valid."
    ]


async def test_a_trailing_line_break_of_an_api_key_is_stripped(guarded_url, monkeypatch):
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", f"{API_KEY}\r\n")
    async with model(guarded_url, session("wrong")) as asked:
        assert (await asked.generate(ASKED)).text


async def test_missing_credentials_are_reported_as_such(guarded_url, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with model(guarded_url, aioboto3.Session()) as asked:
        with pytest.raises(UpstreamCredentialsError):
            await asked.generate(ASKED)


async def test_credentials_are_refreshed_before_they_expire_and_used_from_then_on():
    names = iter(("first", "second", "never"))

    async def issued() -> dict[str, str]:
        expiry = datetime.now(UTC) + timedelta(hours=6)
        return {
            "access_key": next(names),
            "secret_key": "secret",
            "token": "token",
            "expiry_time": expiry.isoformat(),
        }

    credentials: Any = AioRefreshableCredentials.create_from_metadata(
        await issued(), refresh_using=issued, method="test"
    )
    session = aioboto3.Session()
    session._session._credentials = credentials
    identity = AwsIdentity(session, "us-east-1", "bedrock.test")

    async def signing() -> Signer:
        return await identity.signer()

    first = await signing()
    assert await signing() is first
    credentials._expiry_time = datetime.now(UTC) + timedelta(minutes=1)
    second = await signing()
    assert await signing() is second

    assert "Credential=first/" in first.sign("/", ())["Authorization"]
    assert "Credential=second/" in second.sign("/", ())["Authorization"]
