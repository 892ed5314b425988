"""Jobs, whose answers are fetched later."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.settings.types import Count, Seconds


class JobSettings(BaseModel):
    """Jobs, whose answers are fetched later."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    job_concurrency: Annotated[
        Count, Field(description="Maximum jobs that one worker process runs at a time.")
    ] = 4
    job_timeout: Annotated[
        Seconds,
        Field(
            description="Maximum seconds that a job may run. Time that it waits before its "
            "first answer, for a model that is loading or for its caller's limits, does not "
            "count."
        ),
    ] = 3600
    job_expires: Annotated[
        Seconds, Field(description="Seconds for which a job's answer is kept.")
    ] = 24 * 3600
