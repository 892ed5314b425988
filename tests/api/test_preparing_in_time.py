"""The deadline while a picture is being prepared, on every route that prepares one."""

import asyncio
import time
from dataclasses import dataclass

import pytest

from app.domain.image import ReceivedImage, S3Image, UrlImage
from app.domain.ports import Arrival
from app.services.generation.image_sources import ImageSources
from tests.support.clients.picture_requests import BODIES
from tests.support.clients.problem import problem
from tests.support.fakes.ports import FakeVisionModel, plenty
from tests.support.service.application import Rig


@dataclass
class Silent:
    """A source that never returns the picture."""

    async def fetch(self, image: UrlImage | S3Image, arrival: Arrival) -> ReceivedImage:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("path", BODIES)
def test_a_picture_not_prepared_by_the_deadline_is_abandoned(path):
    model = FakeVisionModel()
    rig = Rig(model, sources=ImageSources(10**6, Silent(), Silent(), plenty()))
    with rig.client() as client:
        begun = time.monotonic()
        answer = client.post(path, json=BODIES[path], headers={"x-request-timeout": "0.3"})

    problem(answer, 504, "deadline_exceeded")
    assert time.monotonic() - begun < 20
    assert model.requests == []


@pytest.mark.parametrize("path", BODIES)
def test_a_malformed_deadline_is_refused_on_every_route_that_takes_one(path):
    with Rig().client() as client:
        answer = client.post(path, json=BODIES[path], headers={"x-request-timeout": "soon"})

    assert "X-Request-Timeout" in problem(answer, 422, "invalid_parameter")["detail"]
