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
            description="While the log can't be written: `refuse` new calls, or `degrade`: answer "
            "and keep 10,000 records in memory meanwhile. Either way with an alert."
        ),
    ] = "degrade"
    audit_head_interval: Annotated[
        Seconds,
        Field(
            description="Seconds between two signed heads; needs `LLAMA_VISION_RECEIPT_KEY_FILE`."
        ),
    ] = 60
    audit_heads_bucket: Annotated[
        str | None,
        Field(
            description="Bucket, or `bucket/prefix`, that heads are written to with S3 Object "
            "Lock; each is a log line in any case."
        ),
    ] = None
    audit_retention_days: Annotated[
        int | None,
        Field(
            gt=0,
            le=36_500,
            description="Days that records are kept; of older ones only the hashes remain, so "
            "that proofs still hold. Unset: for ever.",
        ),
    ] = None

    @model_validator(mode="after")
    def _check_heads_bucket(self) -> Self:
        bucket = self.audit_heads_bucket
        check_buckets("audit_heads_bucket", (bucket,) if bucket else ())
        return self
