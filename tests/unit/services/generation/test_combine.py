"""Several answers of the model combined into one."""

from app.domain.generation import Completion, Generation, Latency, StopReason
from app.domain.usage import Usage
from app.services.generation.combine import combined


def made(created: int) -> Generation:
    completion = Completion("42", Usage(3, 4), StopReason.STOP, "stop")
    return Generation("gen_1", "model", completion, (), (), Latency(1, 1), created=created)


def test_a_combined_answer_has_the_creation_time_of_its_latest_part():
    answers = [made(1_700_000_000), made(1_700_000_060), made(1_700_000_030)]

    whole = combined(answers, id="sum", text="", latency=Latency(3, 3), images=(), warnings=())

    assert whole.created == 1_700_000_060
