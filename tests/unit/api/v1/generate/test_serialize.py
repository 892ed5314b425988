"""Answers written by hand are those that the documented model writes."""

import dataclasses
from typing import Any

import pytest

from app.api.v1.generate.schemas import GenerationOut
from app.api.v1.generate.serialize import generation_out
from app.domain.cost import Cost
from app.domain.errors import ModelThrottledError
from app.domain.generation import (
    Completion,
    Generation,
    Latency,
    Part,
    StopReason,
    Target,
    Usage,
)
from app.domain.image import Caveat, ReceivedImage
from app.domain.model import Dialect
from app.services.images.prepare import prepare
from app.settings import Settings
from app.wiring.images import image_limits
from tests.support.pictures import ASTRONAUT

REPORT = prepare(
    ReceivedImage(ASTRONAUT, "image/jpeg", "images.0"), image_limits(Settings(_env_file=None))
)
PLAIN = Generation(
    "gen_1",
    "a.model",
    Completion('Grüße \u2028 \U0001f600 "quoted" \\ \x00', Usage(), StopReason.OTHER, None),
    (),
    (),
    Latency(12, 7),
)
FULL = dataclasses.replace(
    PLAIN,
    completion=Completion(
        "Hi",
        Usage(10, 20, Cost(0.0000016, 0.0000032)),
        StopReason.LENGTH,
        "length",
        5,
        Target("us-west-2", "a.model", Dialect.INVOKE),
    ),
    images=(REPORT, dataclasses.replace(REPORT, declared_type=None, warnings=(Caveat("c", "m"),))),
    warnings=(Caveat("code", "message"),),
    parts=(Part("images.0", PLAIN), Part("images.1", error=ModelThrottledError("slow"))),
)


@pytest.mark.parametrize("generation", [PLAIN, FULL])
def test_both_ways_write_the_same_json(generation: Any):
    by_hand = generation_out(generation).decode()

    assert GenerationOut.model_validate_json(by_hand) == GenerationOut.of(generation)
    assert by_hand == GenerationOut.of(generation).model_dump_json()
