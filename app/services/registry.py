"""The use cases that the API may call."""

from dataclasses import dataclass

from app.domain.model import Dialect, ModelIdentity
from app.domain.ports import Readiness
from app.services.generation import GenerationService


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The configured model and how it is reached."""

    identity: ModelIdentity
    region: str
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Services:
    """Every use case, built once in `app.wiring`."""

    model: ServedModel
    generations: GenerationService
    readiness: Readiness
