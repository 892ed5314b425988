"""Amazon Bedrock's own batch jobs, which can run this service's batches."""

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.settings.types import Count, Endpoint, Seconds

_PLACE = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>[^?#*]*))?")


class BatchJobSettings(BaseModel):
    """Amazon Bedrock's own batch jobs, which can run this service's batches."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    batch_jobs_location: Annotated[
        str | None,
        Field(
            description="Where Bedrock's batch jobs read and write: `s3://bucket/prefix/`. "
            "Unset: batches run only on this service's own queue."
        ),
    ] = None
    batch_jobs_role: Annotated[
        str | None,
        Field(
            pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+",
            description="ARN of the role that Bedrock reads and writes with. Required with a "
            "location.",
        ),
    ] = None
    batch_jobs_kms_key: Annotated[
        str | None,
        Field(
            pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/.+",
            description="ARN of the key that results are encrypted with.",
        ),
    ] = None
    batch_jobs_endpoint_url: Annotated[
        Endpoint | None, Field(description="Address called instead of S3's own.")
    ] = None
    batch_jobs_least: Annotated[
        Count,
        Field(
            description="Minimum rows for a batch to run as a batch job: the AWS account's "
            "quota, 100 by default.",
        ),
    ] = 100
    batch_jobs_poll: Annotated[
        Seconds, Field(description="Seconds between checks of a batch job.")
    ] = 30

    @model_validator(mode="after")
    def _check_batch_jobs(self) -> Self:
        if self.batch_jobs_location is None:
            return self
        if not _PLACE.fullmatch(self.batch_jobs_location):
            raise ValueError("batch_jobs_location: is not s3://bucket/prefix/")
        if self.batch_jobs_role is None:
            raise ValueError("batch_jobs_role: is missing, but batch_jobs_location is set")
        return self

    @property
    def batch_jobs_place(self) -> tuple[str, str] | None:
        """The bucket and the prefix, which is empty or ends with a slash; None if none is set."""
        match = _PLACE.fullmatch(self.batch_jobs_location or "")
        if match is None:
            return None
        prefix = (match["prefix"] or "").strip("/")
        return match["bucket"], f"{prefix}/" if prefix else ""
