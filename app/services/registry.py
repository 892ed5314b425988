"""The use cases that the API may call."""

from dataclasses import dataclass, field

from app.domain.model import Dialect, ModelIdentity
from app.domain.ports import Authenticator, Readiness
from app.services.access.authentication import OpenAccess
from app.services.generation import GenerationService


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The configured model and how it is reached."""

    identity: ModelIdentity
    region: str
    dialect: Dialect


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
    readiness: Readiness
    timing: Timing
    authenticator: Authenticator = field(default_factory=OpenAccess)
