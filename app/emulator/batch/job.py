"""One batch inference job and its possible ends."""

from dataclasses import dataclass, field
from typing import Any

from app.emulator.control.imported_model import instant

ENDS = {
    "partially-completed": (
        "PartiallyCompleted",
        "The job timed out before all of its records were processed.",
    ),
    "expired": ("Expired", "The job timed out before it began."),
    "stopped-by-aws": ("Stopped", "The job was stopped."),
    "no-bucket-access": (
        "Failed",
        "The service role can't read the S3 location: s3:GetObject and s3:ListBucket are needed.",
    ),
    "no-bucket-key": ("Failed", "An S3 object could not be read. Check its permissions."),
    "internal-failure": ("Failed", "The job failed because of an internal error. Try again."),
}
"""Part of the input's S3 path to the status and message that its job ends with. The words are the
emulator's own."""
RECORD_ERRORS = "record-errors"
"""Part of the input's S3 path of a job in which every third record fails."""
RUNNING = ("Submitted", "Validating", "Scheduled", "InProgress")


@dataclass(slots=True)
class InvocationJob:
    """One job: its request and its present state."""

    arn: str
    asked: dict[str, Any]
    submitted: float
    """Seconds since 1970, as all times here."""
    expires: float
    changed: float
    status: str = "Submitted"
    message: str | None = None
    ended: float | None = None
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    counted: bool = field(default=False)
    """Whether the records have been counted."""

    @property
    def id(self) -> str:
        """The last part of its ARN, which is also the folder of its output."""
        return self.arn.rpartition("/")[2]

    @property
    def parts(self) -> frozenset[str]:
        """The parts of its input's S3 path."""
        uri: str = self.asked["inputDataConfig"]["s3InputDataConfig"]["s3Uri"]
        return frozenset(uri.split("/"))

    def become(self, status: str, now: float, message: str | None = None) -> None:
        """Change the status; a final one is the job's end."""
        self.status, self.changed = status, now
        if message is not None:
            self.message = message
        if status not in (*RUNNING, "Stopping"):
            self.ended = now

    def summary(self) -> dict[str, Any]:
        """Return the job as ListModelInvocationJobs lists it."""
        known = {
            "jobArn": self.arn,
            "jobName": self.asked["jobName"],
            "modelId": self.asked["modelId"],
            "clientRequestToken": self.asked.get("clientRequestToken"),
            "roleArn": self.asked["roleArn"],
            "status": self.status,
            "message": self.message,
            "submitTime": instant(self.submitted),
            "lastModifiedTime": instant(self.changed),
            "endTime": None if self.ended is None else instant(self.ended),
            "inputDataConfig": self.asked["inputDataConfig"],
            "outputDataConfig": self.asked["outputDataConfig"],
            "timeoutDurationInHours": self.asked.get("timeoutDurationInHours", 24),
            "jobExpirationTime": instant(self.expires),
            "modelInvocationType": self.asked.get("modelInvocationType", "InvokeModel"),
            **(self._counts() if self.counted else {}),
        }
        return {key: value for key, value in known.items() if value is not None}

    def _counts(self) -> dict[str, int]:
        return {
            "totalRecordCount": self.total,
            "processedRecordCount": self.succeeded + self.failed,
            "successRecordCount": self.succeeded,
            "errorRecordCount": self.failed,
        }
