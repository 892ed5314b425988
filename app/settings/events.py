"""Events that AWS Lambda's adapter brings: S3 tells of a new file, and it becomes a batch."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class EventSettings(BaseModel):
    """Events that AWS Lambda's adapter brings: S3 tells of a new file, and it becomes a batch."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    s3_event_caller: Annotated[
        str | None,
        Field(
            pattern=re.compile(r"^(?!sub:).{1,128}$"),
            description="Id of the API key for whose caller a batch is begun of each file that an "
            "S3 event names. With it `POST /events` is there and asks for no key, so `host` must "
            "be a loopback address that only AWS Lambda's adapter reaches. Unset: no such route.",
        ),
    ] = None
    s3_event_bucket: Annotated[
        str | None,
        Field(
            pattern=re.compile(r"^[a-z0-9.-]{3,63}(/.*)?$"),
            description="The bucket whose files become batches, or `bucket/prefix`. Required with "
            "`s3_event_caller`; events of others are refused.",
        ),
    ] = None
    s3_event_endpoint: Annotated[
        str,
        Field(
            pattern=r"^/v1/(generate|chat/completions|tasks/[a-z-]+)$",
            description="The endpoint that the rows of such a batch are for.",
        ),
    ] = "/v1/chat/completions"
    s3_event_engine: Annotated[
        Literal["auto", "own", "bedrock"],
        Field(description="Engine that answers the rows of such a batch; see docs/batches.md."),
    ] = "auto"
