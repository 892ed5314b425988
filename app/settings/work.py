"""Files, batches and jobs: where they are kept, and how much of the service they may use."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.settings.types import (
    LEAST,
    MIB,
    MOST_SECONDS,
    Bytes,
    Count,
    Endpoint,
    Region,
    Seconds,
    check_buckets,
)

DAY = 24 * 3600


class WorkSettings(BaseModel):
    """Files, batches and jobs: where they are kept, and how much of the service they may use."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    queue_store: Annotated[
        Literal["sqlite", "postgres"],
        Field(
            description="Where batches and jobs are kept: a file in the data directory for the "
            "workers of one machine, or PostgreSQL for several machines."
        ),
    ] = "sqlite"
    work_on_queue: Annotated[
        bool,
        Field(
            description="Whether this process works on rows and jobs. If off, it only accepts "
            "them and reports their state, and separate processes work on them."
        ),
    ] = True
    work_lease: Annotated[
        float,
        Field(
            ge=1,
            le=MOST_SECONDS,
            description="Seconds after which the rows and jobs of a process that died go to "
            "another. The work of a process that stalls for longer is done twice.",
        ),
    ] = 30
    batch_share: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="Share of `max_concurrency` that rows of batches may take while there "
            "are no other requests; each interactive request takes one call from it.",
        ),
    ] = 0.9
    batch_concurrency: Annotated[
        Count,
        Field(
            description="Maximum rows of batches that one worker answers at a time, whatever "
            "the share."
        ),
    ] = 32
    max_batch_rows: Annotated[
        Count, Field(description="Maximum lines of a batch's input file.")
    ] = 50_000
    files_store: Annotated[
        Literal["directory", "s3"],
        Field(
            description="Where files are kept: in the data directory, or in an S3 bucket, which "
            "several machines share."
        ),
    ] = "directory"
    files_bucket: Annotated[
        str | None,
        Field(
            description="The bucket for files, or `bucket/prefix`.",
        ),
    ] = None
    files_region: Annotated[
        Region | None, Field(description="The bucket's region; by default the model's.")
    ] = None
    files_endpoint_url: Annotated[
        Endpoint | None,
        Field(description="Address called instead of S3's own, for a store that imitates it."),
    ] = None
    max_file_bytes: Annotated[Bytes, Field(ge=LEAST, description="Maximum bytes of one file.")] = (
        200 * MIB
    )
    files_quota_bytes: Annotated[
        Bytes, Field(ge=LEAST, description="Maximum bytes of all files of one caller.")
    ] = 10 * 1024 * MIB
    files_expire: Annotated[
        Seconds,
        Field(
            description="Seconds for which a file is kept unless its caller sets another lifetime."
        ),
    ] = 30 * DAY

    @model_validator(mode="after")
    def _check_files_bucket(self) -> Self:
        check_buckets("files_bucket", (self.files_bucket,) if self.files_bucket else ())
        return self
