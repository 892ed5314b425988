"""The audit log."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.settings.types import Seconds, check_buckets


class AuditSettings(BaseModel):
    """The audit log."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    audit_store: Annotated[
        Literal["off", "files", "postgres"],
        Field(
            description="Where the audit log is kept. `files`: by day, in "
            "`LLAMA_VISION_DATA_DIRECTORY`, for the workers of one machine. "
            "`postgres`: for several replicas together. See docs/audit.md."
        ),
    ] = "off"
    audit_failure: Annotated[
        Literal["refuse", "degrade"],
        Field(
            description="What happens while the log can't be written. `refuse`: new calls are "
            "refused. `degrade`: calls are answered, and up to 10,000 records are held in "
            "memory. Both raise an alert."
        ),
    ] = "degrade"
    audit_head_interval: Annotated[
        Seconds,
        Field(description="Seconds between signed heads; needs `LLAMA_VISION_RECEIPT_KEY_FILE`."),
    ] = 60
    audit_heads_bucket: Annotated[
        str | None,
        Field(
            description="Bucket, or `bucket/prefix`, that heads are written to with S3 Object "
            "Lock; every head is also a log line."
        ),
    ] = None
    audit_retention_days: Annotated[
        int | None,
        Field(
            gt=0,
            le=36_500,
            description="Days for which records are kept; only the hashes of older ones remain, "
            "so that proofs still hold. Unset: for ever.",
        ),
    ] = None

    @model_validator(mode="after")
    def _check_heads_bucket(self) -> Self:
        bucket = self.audit_heads_bucket
        check_buckets("audit_heads_bucket", (bucket,) if bucket else ())
        return self
