"""The use cases that the API may call."""

from dataclasses import dataclass

from app.domain.generation import Target
from app.domain.model import ModelIdentity
from app.domain.ports import Readiness
from app.services.admission import Budget
from app.services.deadline import Drain
from app.services.generation import GenerationService
from app.services.preparation import PreparationService
from app.services.tasking import TaskService


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The configured model and how it is reached."""

    identity: ModelIdentity
    targets: tuple[Target, ...]
    """In the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    request: float
    """From a request's arrival to its whole answer, at most."""
    heartbeat: float
    """Of silence in a stream before a comment is sent."""


@dataclass(frozen=True, slots=True)
class Services:
    """Every use case, built once in `app.wiring`."""

    model: ServedModel
    generations: GenerationService
    preparations: PreparationService
    tasks: TaskService
    readiness: Readiness
    timing: Timing
    drain: Drain
    room: Budget
    """Bytes of bodies and fetched pictures in flight."""
