"""Pictures from S3: a real server, and botocore's own errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aioboto3
import botocore.session
import pytest
from botocore import exceptions as aws
from botocore.exceptions import ClientError

from app.adapters.sources.errors import from_s3
from app.adapters.sources.s3 import Connection, S3ImageSource, open_client
from app.domain import errors
from app.domain.image import S3Image
from tests.support.fakes.ports import Arriving
from tests.support.files.pictures import ASTRONAUT, ROCKET
from tests.support.servers.s3 import REGION, make_bucket, s3_client

OWNER = "123456789012"


@pytest.fixture(scope="module")
def bucket(s3_url) -> Any:
    client = s3_client(s3_url)
    make_bucket(client, "pictures")
    make_bucket(client, "secrets")
    for key in ("public/astronaut.png", "private/astronaut.png"):
        client.put_object(Bucket="pictures", Key=key, Body=ASTRONAUT)
    client.put_object(Bucket="secrets", Key="astronaut.png", Body=ASTRONAUT)
    return client


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[S3ImageSource]:
    async with open_client(aioboto3.Session(), Connection(REGION, url)) as client:
        yield S3ImageSource(
            client,
            options.pop("buckets", ("pictures",)),
            options.pop("max_bytes", 1024 * 1024),
            10,
            **options,
        )


async def test_a_named_version_is_read(bucket, s3_url):
    first = bucket.put_object(Bucket="pictures", Key="twice", Body=ASTRONAUT)["VersionId"]
    bucket.put_object(Bucket="pictures", Key="twice", Body=ROCKET)

    async with opened(s3_url) as source:
        latest = await source.fetch(S3Image("pictures", "twice"), Arriving())
        older = await source.fetch(S3Image("pictures", "twice", first), Arriving())

    assert latest.data == ROCKET
    assert older.data == ASTRONAUT


async def test_the_type_that_s3_writes_by_default_counts_as_undeclared(bucket, s3_url):
    async with opened(s3_url) as source:
        received = await source.fetch(S3Image("pictures", "public/astronaut.png"), Arriving())

    assert received.declared_type is None


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("secrets", "astronaut.png"),
        ("pictures", "private/astronaut.png"),
        ("pictures", "Public/astronaut.png"),
        ("pictures-2", "public/astronaut.png"),
        ("pictures", "public/../private/astronaut.png"),
        ("pictures", "public/./astronaut.png"),
        ("pictures", "public/.."),
        ("pictures", "public\\..\\private\\astronaut.png"),
    ],
)
async def test_a_bucket_or_prefix_that_is_not_allowed_is_refused_without_a_call(name, key):
    class NoCalls:
        def __getattr__(self, operation: str) -> Any:
            raise AssertionError(f"{operation} was called")

    source = S3ImageSource(NoCalls(), ("pictures/public/",), 1024, 10)  # type: ignore[arg-type]  # none of its methods may be used

    with pytest.raises(errors.ImageS3NotAllowedError, match=f"{name}|part of its path"):
        await source.fetch(S3Image(name, key), Arriving())


async def test_a_key_under_an_allowed_prefix_is_read(bucket, s3_url):
    async with opened(s3_url, buckets=("other", "pictures/public/")) as source:
        received = await source.fetch(S3Image("pictures", "public/astronaut.png"), Arriving())

    assert received.data == ASTRONAUT


@pytest.mark.parametrize(
    ("of_settings", "of_caller"), [(OWNER, None), (None, OWNER), (OWNER, OWNER)]
)
async def test_each_call_tells_s3_which_account_must_own_the_bucket(
    bucket, s3_url, of_settings, of_caller
):
    # Only the header can be checked: the server has one account and verifies none.
    told = []
    async with opened(s3_url, owner=of_settings) as source:
        source.client.meta.events.register(
            "before-call.s3",
            lambda model, params, **_: told.append(
                (model.name, params["headers"]["x-amz-expected-bucket-owner"])
            ),
        )
        await source.fetch(S3Image("pictures", "public/astronaut.png", owner=of_caller), Arriving())

    assert told == [("HeadObject", OWNER), ("GetObject", OWNER)]


async def test_an_owner_that_the_operator_does_not_expect_is_denied(bucket, s3_url):
    async with opened(s3_url, owner=OWNER) as source:
        with pytest.raises(errors.ImageSourceDeniedError, match="expected account"):
            await source.fetch(
                S3Image("pictures", "public/astronaut.png", owner="2" * 12), Arriving()
            )


async def test_an_object_over_the_size_limit_is_refused_before_it_is_read(bucket, s3_url):
    async with opened(s3_url, max_bytes=1000) as source:
        calls = []
        source.client.meta.events.register(
            "before-call.s3", lambda model, **_: calls.append(model.name)
        )
        with pytest.raises(errors.ImageTooLargeError, match=f"{len(ASTRONAUT):,}"):
            await source.fetch(S3Image("pictures", "public/astronaut.png"), Arriving())

    assert calls == ["HeadObject"]


async def test_an_object_replaced_during_reading_is_refused(bucket, s3_url):
    bucket.put_object(Bucket="pictures", Key="changing", Body=ASTRONAUT)

    async with opened(s3_url) as source:

        def replace(model: Any, **_: Any) -> None:
            if model.name == "GetObject":
                bucket.put_object(Bucket="pictures", Key="changing", Body=ROCKET)

        source.client.meta.events.register("before-call.s3", replace)
        with pytest.raises(errors.ImageSourceUnavailableError, match="replaced"):
            await source.fetch(S3Image("pictures", "changing"), Arriving())


@pytest.mark.parametrize("version", ["00000000-0000-0000-0000-000000000000", "nonsense"])
async def test_a_missing_version_or_bucket_is_not_found(bucket, s3_url, version):
    async with opened(s3_url, buckets=("pictures", "no-such-bucket")) as source:
        with pytest.raises(errors.ImageSourceNotFoundError):
            await source.fetch(S3Image("pictures", "public/astronaut.png", version), Arriving())
        with pytest.raises(errors.ImageSourceNotFoundError):
            await source.fetch(S3Image("no-such-bucket", "x"), Arriving())


async def test_an_unreachable_server_is_unavailable():
    # Port 9 is the discard service, which does not run on the loopback.
    async with opened("http://127.0.0.1:9") as source:
        with pytest.raises(errors.ImageSourceUnavailableError):
            await source.fetch(S3Image("pictures", "x"), Arriving())


def test_every_error_that_s3_declares_for_reading_is_translated():
    service = botocore.session.get_session().get_service_model("s3")
    declared = {
        shape.metadata.get("error", {}).get("code", shape.name)
        for operation in ("HeadObject", "GetObject")
        for shape in service.operation_model(operation).error_shapes
    }

    assert declared
    for code in declared:
        with pytest.raises((errors.ImageSourceNotFoundError, errors.ImageSourceDeniedError)):
            raise_client_error(code)


def raise_client_error(code: str) -> None:
    with from_s3():
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "GetObject")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ClientError({"Error": {"Code": "SlowDown"}}, "x"), errors.ImageSourceUnavailableError),
        (ClientError({"Error": {"Code": "403"}}, "x"), errors.ImageSourceDeniedError),
        (aws.NoCredentialsError(), errors.ImageSourceDeniedError),
        (aws.ReadTimeoutError(endpoint_url="x"), errors.ImageSourceTimeoutError),
        (aws.ConnectTimeoutError(endpoint_url="x"), errors.ImageSourceTimeoutError),
        (TimeoutError(), errors.ImageSourceTimeoutError),
        (aws.EndpointConnectionError(endpoint_url="x"), errors.ImageSourceUnavailableError),
        (aws.ParamValidationError(report="x"), errors.ImageSourceUnavailableError),
        (ConnectionResetError(), errors.ImageSourceUnavailableError),
    ],
    ids=str,
)
def test_failures_of_the_client_become_our_own_errors(error, expected):
    with pytest.raises(expected), from_s3():
        raise error
