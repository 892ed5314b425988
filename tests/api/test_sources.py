"""Pictures given by URL or S3 object, and why they are refused."""

from dataclasses import dataclass, field

import pytest

from app.domain.image import ReceivedImage, S3Image, UrlImage
from app.domain.ports import Arrival
from app.services.concurrency.budget import Budget
from app.services.generation.image_sources import ImageSources
from app.settings import Settings
from app.telemetry import current
from tests.support.clients.picture_requests import BODIES, PICTURE
from tests.support.clients.problem import problem
from tests.support.fakes.ports import FakeImageSource, FakeVisionModel, plenty
from tests.support.files.pictures import ASTRONAUT
from tests.support.servers.s3 import REGION, make_bucket, s3_client
from tests.support.service.access import add_key, bearer, guarded
from tests.support.service.application import Rig

URL = "https://images.example.com/cat.png"


@pytest.mark.parametrize(
    ("image", "setting"),
    [
        ({"url": URL}, "LLAMA_VISION_IMAGE_URL_HOSTS"),
        ({"s3_uri": "s3://pictures/cat.png"}, "LLAMA_VISION_IMAGE_S3_BUCKETS"),
    ],
)
def test_a_disabled_source_is_refused_naming_the_setting_that_enables_it(
    client, model, image, setting
):
    answer = client.post("/v1/generate", json={"images": [image]})

    body = problem(answer, 422, "image_source_disabled")
    assert setting in body["detail"]
    assert body["errors"][0]["field"] == "images.0"
    assert model.requests == []


@pytest.mark.parametrize("image", [{"url": URL}, {"s3_uri": "s3://pictures/a/b c.png"}])
def test_a_picture_given_by_url_is_answered_like_an_inline_one(image):
    known = FakeImageSource({URL: ASTRONAUT, "a/b c.png": ASTRONAUT})
    model = FakeVisionModel()
    with Rig(
        model, sources=ImageSources(2**20, urls=known, objects=known, room=plenty())
    ).client() as client:
        answer = client.post("/v1/generate", json={"prompt": "Who?", "images": [image]})

    assert answer.status_code == 200
    assert answer.json()["images"][0]["bytes"] == len(ASTRONAUT)
    assert len(model.requests[0].turns[0].images) == 1


@dataclass
class Watching(FakeImageSource):
    """Records how much memory is reserved while it fetches."""

    room: Budget = field(default_factory=plenty)
    held: list[int] = field(default_factory=list)

    async def fetch(self, image: UrlImage | S3Image, arrival: Arrival) -> ReceivedImage:
        self.held.append(self.room.in_use)
        received = await super().fetch(image, arrival)
        self.held.append(self.room.in_use)
        return received


@pytest.mark.parametrize("path", BODIES)
def test_memory_is_reserved_for_a_fetched_picture_only_as_it_arrives(path):
    source = Watching({PICTURE["url"]: ASTRONAUT})
    rig = Rig(sources=ImageSources(2**20, urls=source, objects=source, room=source.room))
    with rig.client() as client:
        client.post(path, json=BODIES[path])

    before, after = source.held[:2]
    assert before < 1000
    assert after == before + len(ASTRONAUT)
    assert source.room.in_use == 0


@dataclass
class Noting(FakeImageSource):
    """Notes whose share of the service a request takes, where decoders and room ask for it."""

    shares: list[str] = field(default_factory=list)

    async def fetch(self, image: UrlImage | S3Image, arrival: Arrival) -> ReceivedImage:
        self.shares.append(current().share)
        return await super().fetch(image, arrival)


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "k"}])
@pytest.mark.parametrize("path", BODIES)
def test_work_of_an_anonymous_caller_counts_for_its_address(path, headers):
    source = Noting({PICTURE["url"]: ASTRONAUT})
    rig = Rig(sources=ImageSources(2**20, urls=source, objects=source, room=plenty()))
    with rig.client() as client:
        client.post(path, json=BODIES[path], headers=headers)

    assert set(source.shares) == {"127.0.0.1"}


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "k"}])
@pytest.mark.parametrize("path", BODIES)
def test_work_of_a_known_caller_counts_for_that_caller(path, headers, tmp_path):
    source = Noting({PICTURE["url"]: ASTRONAUT})
    key = add_key(tmp_path / "keys.json")
    rig = guarded(tmp_path / "keys.json")
    rig.sources = ImageSources(2**20, urls=source, objects=source, room=plenty())
    with rig.client() as client:
        client.post(path, json=BODIES[path], headers={**bearer(key), **headers})

    assert set(source.shares) == {key.split("_")[1]}


@pytest.mark.parametrize(
    ("image", "field"),
    [
        ({"url": 5}, "images.0.url"),
        ({"url": "x" * 9000}, "images.0.url"),
        ({"url": URL, "media_type": "image/png"}, "images.0.media_type"),
        ({"s3_uri": "pictures/cat.png"}, "images.0.s3_uri"),
        ({"s3_uri": "s3://pictures"}, "images.0.s3_uri"),
        ({"s3_uri": "s3://pictures/"}, "images.0.s3_uri"),
        ({"s3_uri": "s3://pictures/x", "version_id": ""}, "images.0.version_id"),
        ({}, "images.0"),
    ],
)
def test_a_malformed_image_object_is_refused_by_field(client, image, field):
    answer = client.post("/v1/generate", json={"images": [image]})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_an_unlisted_host_is_refused():
    settings = Settings(_env_file=None, image_url_hosts="images.example.com, *.cdn.example.net")
    with Rig(settings=settings).client() as client:
        answer = client.post("/v1/generate", json={"images": [{"url": "https://evil.example/x"}]})

    assert "evil.example" in problem(answer, 422, "image_url_not_allowed")["detail"]


def test_a_listed_host_that_resolves_to_a_private_address_is_refused():
    settings = Settings(_env_file=None, image_url_hosts="localhost:1", image_url_allow_http=True)
    with Rig(settings=settings).client() as client:
        answer = client.post("/v1/generate", json={"images": [{"url": "http://localhost:1/x"}]})

    problem(answer, 422, "image_url_forbidden_address")


def test_an_object_of_an_allowed_bucket_is_answered(s3_url):
    bucket = s3_client(s3_url)
    make_bucket(bucket, "api")
    bucket.put_object(Bucket="api", Key="in/astronaut.png", Body=ASTRONAUT)
    settings = Settings(
        _env_file=None,
        image_s3_buckets="api/in/",
        image_s3_region=REGION,
        image_s3_endpoint_url=s3_url,
    )
    with Rig(settings=settings).client() as client:
        found = client.post(
            "/v1/generate", json={"images": [{"s3_uri": "s3://api/in/astronaut.png"}]}
        )
        missing = client.post("/v1/generate", json={"images": [{"s3_uri": "s3://api/in/moon.png"}]})
        outside = client.post("/v1/generate", json={"images": [{"s3_uri": "s3://api/x.png"}]})

    assert found.json()["images"][0]["bytes"] == len(ASTRONAUT)
    problem(missing, 422, "image_source_not_found")
    problem(outside, 422, "image_s3_not_allowed")
