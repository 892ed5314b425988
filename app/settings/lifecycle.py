"""Checks of how long the model will be available."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.settings.types import Seconds


class LifecycleSettings(BaseModel):
    """Checks of how long the model will be available."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    lifecycle: Annotated[
        bool,
        Field(
            description="Whether to ask AWS's control plane, at the start and at intervals, how "
            "long each target's model will be available."
        ),
    ] = True
    lifecycle_interval: Annotated[Seconds, Field(description="Seconds between these checks.")] = (
        86400
    )
