"""Serialised answers match their schemas."""

import dataclasses

import orjson
import pytest
from pydantic import BaseModel

from app.api.v1.generate import serialize
from app.api.v1.generate.schemas import DoneEvent, GenerationOut, ImageOut
from app.api.v1.generate.streaming import StartEvent
from app.domain.cost import Cost
from app.domain.errors import ModelThrottledError
from app.domain.generation import Completion, Generation, Latency, Part, Started, StopReason, Target
from app.domain.image import AnswerWarning, ReceivedImage
from app.domain.model import Dialect
from app.domain.usage import Usage
from app.services.images.prepare import prepare
from app.settings import Settings
from app.wiring.images import image_limits
from tests.support.files.pictures import ASTRONAUT

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
    images=(
        REPORT,
        dataclasses.replace(REPORT, declared_type=None, warnings=(AnswerWarning("c", "m"),)),
    ),
    warnings=(AnswerWarning("code", "message"),),
    parts=(Part("images.0", PLAIN), Part("images.1", error=ModelThrottledError("slow"))),
)


STARTED = Started("gen_1", "a.model", FULL.images, FULL.warnings)


@pytest.mark.parametrize(
    ("written", "schema"),
    [
        (serialize.generation(PLAIN), GenerationOut),
        (serialize.generation(FULL), GenerationOut),
        (serialize.done(PLAIN), DoneEvent),
        (serialize.done(FULL), DoneEvent),
        (serialize.started(STARTED), StartEvent),
        (orjson.dumps(serialize.image(REPORT)), ImageOut),
    ],
)
def test_rendered_answers_match_their_schema_field_by_field(
    written: bytes, schema: type[BaseModel]
):
    # This drops members that the schema lacks and reorders those that it orders differently.
    assert schema.model_validate_json(written).model_dump_json() == written.decode()
