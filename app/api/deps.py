"""What route functions ask for in their signatures."""

from typing import Annotated, TypedDict

from fastapi import Depends, Request

from app.domain.ports import Readiness
from app.services.generation import GenerationService
from app.services.registry import ServedModel, Services


class State(TypedDict):
    """What the lifespan hands to every request."""

    services: Services


def services(request: Request) -> Services:
    """Return the use cases opened in the lifespan."""
    found: Services = request.state.services
    return found


AllServices = Annotated[Services, Depends(services)]


def _generations(found: AllServices) -> GenerationService:
    return found.generations


def _readiness(found: AllServices) -> Readiness:
    return found.readiness


def _model(found: AllServices) -> ServedModel:
    return found.model


Generations = Annotated[GenerationService, Depends(_generations)]
ReadinessCheck = Annotated[Readiness, Depends(_readiness)]
Model = Annotated[ServedModel, Depends(_model)]
