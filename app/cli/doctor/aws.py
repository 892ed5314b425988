"""Checks of the way to AWS: the endpoint, the clock, the credentials and their identity."""

import email.utils
import os
import time
from collections.abc import AsyncIterator

import aioboto3
import httpx
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from app.adapters.aws_session import aws_session
from app.adapters.bedrock.identity.variables import check_api_key
from app.adapters.bedrock.model_import import sentence
from app.adapters.trust import trusted
from app.cli.doctor.configuration import shown
from app.domain.finding import Finding, fault, ok, warning
from app.settings import PREFIX, Settings

CONFIG = AioConfig(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1})
"""Configuration of the SDK's clients, which by default retry for minutes."""
SKEW_SECONDS = 60
MAX_SKEW_SECONDS = 300
"""Clock skew in seconds beyond which AWS refuses signatures."""
TIMEOUT = 5


async def check(settings: Settings) -> AsyncIterator[Finding]:
    """Yield findings about the endpoint, the clock and the credentials."""
    others = settings.image_s3_buckets or settings.knowledge_bases
    if not (others or any(target.dialect.is_bedrock for target in settings.targets)):
        yield ok("AWS", "not checked: the service uses no service of AWS")
        return
    async for finding in _endpoint(settings):
        yield finding
    if os.environ.get("AWS_BEARER_TOKEN_BEDROCK"):
        yield _api_key(os.environ["AWS_BEARER_TOKEN_BEDROCK"])
        return
    try:
        session = aws_session()
        credentials = await session.get_credentials()
        frozen = credentials and await credentials.get_frozen_credentials()
    except (BotoCoreError, ClientError, OSError) as error:
        yield fault("credentials", str(error), "Correct AWS_PROFILE or the AWS configuration.")
        return
    if not credentials or not frozen or not frozen.access_key:
        mend = "Set AWS_PROFILE, AWS_BEARER_TOKEN_BEDROCK, or run under a role."
        yield fault("credentials", "AWS's credential chain finds none", mend)
        return
    yield ok("credentials", f"{frozen.access_key[:4]}…, found by {credentials.method}")
    yield await _identity(session, settings)


async def _endpoint(settings: Settings) -> AsyncIterator[Finding]:
    url = str(settings.endpoint_url or f"https://bedrock-runtime.{settings.region}.amazonaws.com/")
    try:
        async with httpx.AsyncClient(
            verify=trusted(), timeout=TIMEOUT, follow_redirects=False
        ) as client:
            answer = await client.head(url)
    except httpx.HTTPError as error:
        mend = f"Check the network, proxies and {PREFIX}ENDPOINT_URL."
        yield fault("endpoint", f"{shown(url)} can't be reached: {type(error).__name__}", mend)
        return
    yield ok("endpoint", shown(url))
    yield _clock(answer.headers.get("date", ""))


def _clock(date: str) -> Finding:
    try:
        skew = abs(time.time() - email.utils.parsedate_to_datetime(date).timestamp())
    except ValueError:
        return warning("clock", "the endpoint sends no date")
    text = f"{skew:.0f} s from the endpoint's"
    if skew < SKEW_SECONDS:
        return ok("clock", text)
    mend = f"Set the clock; AWS refuses signatures past {MAX_SKEW_SECONDS} s."
    return (fault if skew > MAX_SKEW_SECONDS else warning)("clock", text, mend)


def _api_key(key: str) -> Finding:
    mend = "Remove the quotes, spaces or line end in AWS_BEARER_TOKEN_BEDROCK."
    try:
        check_api_key()
    except ValueError as error:
        return fault("credentials", str(error), mend)
    if key != key.strip():
        text = "the Bedrock API key has white space around it, which the service strips"
        return warning("credentials", text, mend)
    return ok("credentials", "a Bedrock API key; AWS does not say whose it is")


async def _identity(session: aioboto3.Session, settings: Settings) -> Finding:
    elsewhere = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"))
    if settings.endpoint_url and not elsewhere:
        return ok("identity", "not called: the endpoint is not AWS's own")
    try:
        async with session.client("sts", region_name=settings.region, config=CONFIG) as sts:
            reply = await sts.get_caller_identity()
    except ClientError as error:
        return fault("identity", sentence(error), "Renew the credentials.")
    except (BotoCoreError, OSError) as error:
        return warning("identity", f"STS can't be reached: {error}", "Check the network.")
    return ok("identity", reply["Arn"])
