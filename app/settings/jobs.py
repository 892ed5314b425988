"""Answers that are fetched later."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.settings.types import Count, Seconds


class JobSettings(BaseModel):
    """Answers that are fetched later."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    job_concurrency: Annotated[
        Count, Field(description="Jobs that one worker process runs at a time.")
    ] = 4
    job_timeout: Annotated[
        Seconds,
        Field(
            description="Seconds that a job may run. Waiting before its first answer, for a "
            "model that loads or for its caller's limits, does not count."
        ),
    ] = 3600
    job_expires: Annotated[
        Seconds, Field(description="Seconds for which a job's answer is kept.")
    ] = 24 * 3600
