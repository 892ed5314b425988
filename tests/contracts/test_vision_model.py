"""The contract of every VisionModel: the fake, and the adapters with the emulator."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aioboto3
import pytest

from app.adapters.bedrock.identity.credentials import Connection
from app.adapters.bedrock.runtime import open_runtime
from app.adapters.http1.sender import Limits
from app.domain.errors import ModelNotFoundError, ServiceError
from app.domain.generation import Delta, Finish, ModelRequest, Role, Sampling, StopReason, Turn
from app.domain.image import ImageType, PreparedImage
from app.domain.model import LLAMA_3_2_11B, Dialect, capabilities, identify
from app.domain.ports import VisionModel
from app.settings import Settings
from app.wiring.model import vision_model
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ASTRONAUT, ROCKET
from tests.support.model.dialects import BEDROCK, IMPORTED, MODEL_IDS
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

MODEL_ID = "us.meta.llama3-2-11b-instruct-v1:0"
"""Replaced by the model's name in the dialect under test."""
KEY = "a-key-of-a-test"
PICTURE = PreparedImage(ASTRONAUT, ImageType.PNG, 512, 512, "")
OTHER = PreparedImage(ROCKET, ImageType.JPEG, 640, 427, "")

OpenModel = Callable[[str], AbstractAsyncContextManager[VisionModel]]


@pytest.fixture(scope="session")
def other_url(emulator_url) -> Iterator[str]:
    """Serve a second instance of this service with the emulator."""
    settings = Settings(
        _env_file=None, endpoint_url=emulator_url, region="us-east-1", model_id=IMPORTED
    )
    with serving(Rig(model=None, settings=settings).app()) as url:
        yield f"{url}/v1/"


@pytest.fixture(params=["fake", *Dialect])
def open_model(request, emulator_url) -> OpenModel:
    """Return a function that opens the model under test with a given model id."""

    @asynccontextmanager
    async def fake(model_id: str) -> AsyncIterator[VisionModel]:
        failing: dict[str, ServiceError] = {"us.meta.no-such-model-v1:0": ModelNotFoundError("x")}
        yield FakeVisionModel(failing.get(model_id))

    @asynccontextmanager
    async def adapter(model_id: str) -> AsyncIterator[VisionModel]:
        connection = Connection("us-east-1", emulator_url)
        dialect = Dialect(request.param)
        known = MODEL_IDS[dialect] if model_id == MODEL_ID else model_id
        async with open_runtime(aioboto3.Session(), connection) as runtime:
            yield vision_model(dialect, runtime, identify(known, "llama3-2-11b"))

    @asynccontextmanager
    async def other(model_id: str) -> AsyncIterator[VisionModel]:
        # Imported only here: it needs httpx-sse, which nothing else does.
        from app.adapters.openai.model import OpenAiVisionModel
        from app.adapters.openai.server import open_server

        url = request.getfixturevalue("other_url")
        known = IMPORTED if model_id == MODEL_ID else model_id
        able = capabilities(Dialect.OPENAI, LLAMA_3_2_11B)
        async with open_server(url, KEY, Limits()) as server:
            yield OpenAiVisionModel(server, known, able)

    match request.param:
        case "fake":
            return fake
        case Dialect.OPENAI:
            return other
        case _:
            return adapter


def asked(text: str, *images: PreparedImage, max_gen_len: int = 512) -> ModelRequest:
    return ModelRequest(
        turns=(Turn(Role.USER, text, images),),
        sampling=Sampling(temperature=0, max_gen_len=max_gen_len),
    )


async def test_a_question_about_a_picture_is_answered_and_its_tokens_counted(open_model):
    async with open_model(MODEL_ID) as model:
        completion = await model.generate(asked("What is in this picture?", PICTURE))

    assert completion.text
    assert completion.stop_reason is StopReason.STOP
    assert completion.stop_reason_raw
    usage = completion.usage
    assert usage.prompt_token_count > 0
    assert usage.generation_token_count > 0
    assert usage.total_token_count == usage.prompt_token_count + usage.generation_token_count


async def test_a_stream_has_the_text_of_a_plain_answer_and_exactly_one_finish(open_model):
    request = asked("What is in this picture?", PICTURE)
    async with open_model(MODEL_ID) as model:
        whole = await model.generate(request)
        async with model.stream(request) as stream:
            parts = [part async for arrived in stream for part in arrived]

    *deltas, finish = parts
    assert all(isinstance(part, Delta) for part in deltas)
    assert isinstance(finish, Finish)
    assert "".join(delta.text for delta in deltas) == whole.text
    assert len(deltas) > 1
    assert finish.usage == whole.usage
    assert finish.stop_reason is whole.stop_reason
    assert finish.stop_reason_raw == whole.stop_reason_raw


async def test_a_refused_stream_raises_when_it_is_opened(open_model):
    async with open_model("us.meta.no-such-model-v1:0") as model:
        with pytest.raises(ModelNotFoundError):
            await model.stream(asked("Hi")).__aenter__()


async def test_text_alone_is_answered(open_model):
    async with open_model(MODEL_ID) as model:
        assert (await model.generate(asked("Why is the sky blue?"))).text


async def test_an_answer_is_cut_at_max_gen_len(open_model):
    async with open_model(MODEL_ID) as model:
        completion = await model.generate(asked("What is it?", PICTURE, max_gen_len=2))

    assert completion.stop_reason is StopReason.LENGTH
    assert completion.usage.generation_token_count == 2


async def test_at_temperature_0_the_same_question_gets_the_same_answer(open_model):
    async with open_model(MODEL_ID) as model:
        first = await model.generate(asked("What?", PICTURE))
        second = await model.generate(asked("What?", PICTURE))

    assert first.text == second.text
    assert first.usage == second.usage


async def test_earlier_turns_are_sent(open_model):
    turns: tuple[Turn[PreparedImage], ...] = (
        Turn(Role.USER, "What is this?", (PICTURE,)),
        Turn(Role.ASSISTANT, "A person."),
        Turn(Role.USER, "Of what size?"),
    )
    async with open_model(MODEL_ID) as model:
        assert (await model.generate(ModelRequest(turns=turns, system="Be brief."))).text


async def test_an_id_unknown_to_bedrock_is_an_error_of_its_own(open_model):
    async with open_model("us.meta.no-such-model-v1:0") as model:
        with pytest.raises(ModelNotFoundError):
            await model.generate(asked("Hi"))


@pytest.mark.parametrize("dialect", BEDROCK)
async def test_the_model_sees_the_picture_that_was_sent(emulator_url, dialect):
    connection = Connection("us-east-1", emulator_url)
    async with open_runtime(aioboto3.Session(), connection) as runtime:
        model = vision_model(dialect, runtime, identify(MODEL_IDS[dialect]))
        astronaut = await model.generate(asked("What size?", PICTURE))
        rocket = await model.generate(asked("What size?", OTHER))
        async with model.stream(asked("What size?", OTHER)) as stream:
            parts = [part async for arrived in stream for part in arrived]

    assert "512x512" in astronaut.text
    assert "640x427" in rocket.text
    assert "".join(part.text for part in parts if isinstance(part, Delta)) == rocket.text
