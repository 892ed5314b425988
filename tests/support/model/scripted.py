"""A model that returns a test's own answers and records its requests."""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.domain.errors import ServiceError
from app.domain.generation import Completion, ModelRequest, StopReason
from app.domain.usage import Usage
from tests.support.fakes.ports import FakeVisionModel

Answer = str | ServiceError | Completion


@dataclass
class ScriptedVisionModel(FakeVisionModel):
    """Returns its answers in turn, repeating the last one, or calls ``answering``."""

    answers: list[Answer] = field(default_factory=list)
    answering: Callable[[ModelRequest], Answer] | None = None

    async def generate(self, request: ModelRequest) -> Completion:
        self.requests.append(request)
        answer = self.answering(request) if self.answering else self._next()
        match answer:
            case str():
                return completion(answer)
            case Completion():
                return answer
            case ServiceError():
                raise answer

    def _next(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def completion(text: str, stop: StopReason = StopReason.STOP) -> Completion:
    """Return ``text`` as an answer with 10 tokens to a prompt with 100."""
    return Completion(text, Usage(100, 10), stop, stop.value, latency_ms=7)
