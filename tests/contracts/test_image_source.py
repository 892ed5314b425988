"""The contract of every ImageSource: the fake, and both adapters with real servers."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aioboto3
import pytest

from app.adapters.sources.addresses import AddressPolicy
from app.adapters.sources.http import HttpImageSource, open_transport
from app.adapters.sources.rules import UrlRules
from app.adapters.sources.s3 import Connection, S3ImageSource, open_client
from app.domain.errors import ImageSourceNotFoundError, ImageTooLargeError
from app.domain.image import ReceivedImage, S3Image, UrlImage
from app.domain.ports import ImageSource
from tests.support.fakes.ports import Arriving, FakeImageSource
from tests.support.files.pictures import ASTRONAUT
from tests.support.servers.hostile import HostileServer
from tests.support.servers.s3 import REGION, make_bucket, s3_client
from tests.support.servers.uvicorn import serving


@dataclass
class Scene:
    """A source with ``astronaut.png``, and how a request names its files."""

    open: Callable[[int], AbstractAsyncContextManager[ImageSource[Any]]]
    """Opens the source; its argument is the size limit of a picture in bytes."""
    image: Callable[[str], UrlImage | S3Image]


@pytest.fixture(params=["fake", "http", "s3"])
def scene(request) -> Scene:
    made: Scene = request.getfixturevalue(f"{request.param}_scene")
    return made


@pytest.fixture
def fake_scene() -> Scene:
    @asynccontextmanager
    async def opened(max_bytes: int) -> AsyncIterator[ImageSource[Any]]:
        yield FakeImageSource({"astronaut.png": ASTRONAUT}, "image/png", max_bytes)

    return Scene(opened, lambda key: UrlImage(key, "images.7"))


@pytest.fixture
def http_scene():
    async def resolve(host: str) -> list[str]:
        return ["127.0.0.1"]

    server = HostileServer({"astronaut.png": (ASTRONAUT, "image/png")})
    with serving(server.app()) as url:
        netloc = f"pictures.example:{urlsplit(url).port}"

        @asynccontextmanager
        async def opened(max_bytes: int) -> AsyncIterator[ImageSource[Any]]:
            async with open_transport() as transport:
                yield HttpImageSource(
                    transport,
                    UrlRules((netloc,), allow_http=True),
                    max_bytes,
                    10,
                    AddressPolicy(exempt=("127.0.0.0/8",)),
                    resolve,
                )

        yield Scene(opened, lambda key: UrlImage(f"http://{netloc}/{key}", "images.7"))


@pytest.fixture(scope="module")
def s3_scene(s3_url) -> Scene:
    client = s3_client(s3_url)
    make_bucket(client, "contract")
    client.put_object(
        Bucket="contract", Key="astronaut.png", Body=ASTRONAUT, ContentType="image/png"
    )

    @asynccontextmanager
    async def opened(max_bytes: int) -> AsyncIterator[ImageSource[Any]]:
        async with open_client(aioboto3.Session(), Connection(REGION, s3_url)) as opened:
            yield S3ImageSource(opened, ("contract",), max_bytes, 10)

    return Scene(opened, lambda key: S3Image("contract", key, None, "images.7"))


async def test_a_picture_is_returned_with_its_type_and_its_place_in_the_request(scene):
    async with scene.open(1024 * 1024) as source:
        received = await source.fetch(scene.image("astronaut.png"), Arriving())

    assert received == ReceivedImage(ASTRONAUT, "image/png", "images.7")


async def test_a_missing_item_is_not_found(scene):
    async with scene.open(1024 * 1024) as source:
        with pytest.raises(ImageSourceNotFoundError):
            await source.fetch(scene.image("moon.png"), Arriving())


async def test_a_picture_over_the_size_limit_is_refused_and_one_at_the_limit_is_not(scene):
    async with scene.open(len(ASTRONAUT) - 1) as source:
        with pytest.raises(ImageTooLargeError):
            await source.fetch(scene.image("astronaut.png"), Arriving())
    async with scene.open(len(ASTRONAUT)) as source:
        assert (await source.fetch(scene.image("astronaut.png"), Arriving())).data == ASTRONAUT
