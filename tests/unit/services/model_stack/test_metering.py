"""The reported cost of a call, however its answer arrives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.domain.cost import Price
from app.domain.generation import (
    Delta,
    Finish,
    ModelRequest,
    Role,
    StopReason,
    StreamParts,
    Target,
    Turn,
)
from app.domain.model import Dialect
from app.domain.usage import Usage
from app.services.model_stack.metering import MeteringModel
from app.services.model_stack.stop_sequences import StopSequenceModel
from tests.support.fakes.ports import FakeVisionModel

PRICE = Price(1, 2)
TARGET = Target("us-west-2", "m", Dialect.INVOKE)


class Batching(FakeVisionModel):
    """Delivers a whole stream in one batch with running counts."""

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        async def parts() -> AsyncIterator[StreamParts]:
            yield tuple(Delta(word, Usage(9, count)) for count, word in enumerate("abcd", 1))

        yield parts()


async def test_a_stream_ended_by_a_stop_sequence_within_a_batch_reports_its_cost_so_far():
    model = StopSequenceModel(MeteringModel(Batching(), TARGET, PRICE))
    request = ModelRequest((Turn(Role.USER, "Why?"),), stop=("c",))
    async with model.stream(request) as parts:
        told = [part async for arrived in parts for part in arrived]

    assert "".join(part.text for part in told if isinstance(part, Delta)) == "ab"
    usage = Usage(9, 3, PRICE.most(9, 3))
    assert told[-1] == Finish(usage, StopReason.STOP, None, stop_sequence="c")
