"""Events from AWS Lambda's adapter: each new file in S3 becomes a batch."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class EventSettings(BaseModel):
    """Events from AWS Lambda's adapter: each new file in S3 becomes a batch."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    s3_event_caller: Annotated[
        str | None,
        Field(
            pattern=re.compile(r"^(?!sub:).{1,128}$"),
            description="Id of the API key whose caller owns the batches that are begun for "
            "files named in S3 events. Enables `POST /events`, which asks for no key, so "
            "`host` must be a loopback address that only AWS Lambda's adapter reaches. Unset: "
            "no such route.",
        ),
    ] = None
    s3_event_bucket: Annotated[
        str | None,
        Field(
            pattern=re.compile(r"^[a-z0-9.-]{3,63}(/.*)?$"),
            description="The bucket whose files become batches, or `bucket/prefix`. Required "
            "with `s3_event_caller`; events of other buckets are refused.",
        ),
    ] = None
    s3_event_endpoint: Annotated[
        str,
        Field(
            pattern=r"^/v1/(generate|chat/completions|tasks/[a-z-]+)$",
            description="The endpoint that answers the rows of such a batch.",
        ),
    ] = "/v1/chat/completions"
    s3_event_engine: Annotated[
        Literal["auto", "own", "bedrock"],
        Field(description="Engine that answers the rows of such a batch; see docs/batches.md."),
    ] = "auto"
