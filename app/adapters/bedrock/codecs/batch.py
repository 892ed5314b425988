"""The lines of a batch job's files. Pure.

Input: ``recordId``, ``modelInput``. Output: the same with ``modelOutput`` or ``error``, pictures
echoed. Source: AWS's user guide on batch inference data.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from botocore.exceptions import ClientError

from app.adapters.bedrock import errors
from app.adapters.bedrock.codecs import converse, invoke
from app.domain.batch_job import BatchJob, BatchJobStatus, RecordCounts, RecordResult
from app.domain.errors import ServiceError, UpstreamAnswerError
from app.domain.generation import Completion, ModelRequest
from app.domain.model import Dialect

_STATUSES = {
    "Completed": BatchJobStatus.COMPLETED,
    "PartiallyCompleted": BatchJobStatus.PARTIALLY_COMPLETED,
    "Failed": BatchJobStatus.FAILED,
    "Stopped": BatchJobStatus.STOPPED,
    "Expired": BatchJobStatus.EXPIRED,
}
_DIGITS = 10
INVOCATION_TYPES = {Dialect.INVOKE: "InvokeModel", Dialect.CONVERSE: "Converse"}
"""The forms that records may have; imported models, which need another, take no batches."""


def record_id(record: int) -> str:
    """Return a record's id: eleven letters and digits, as AWS makes them if there is none."""
    return f"R{record:0{_DIGITS}d}"


def to_line(record: int, request: ModelRequest, dialect: Dialect) -> bytes:
    """Return the record's line, its line end included."""
    write: Callable[[ModelRequest], tuple[bytes, ...]]
    write = invoke.to_invoke if dialect is Dialect.INVOKE else converse.to_body
    head = b'{"recordId":"%b","modelInput":' % record_id(record).encode()
    return b"".join((head, *write(request), b"}\n"))


def from_line(line: bytes, dialect: Dialect) -> RecordResult | None:
    """Return the result in a line of the output; None if the line is not from our records."""
    try:
        members = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    record = _record(members.get("recordId")) if isinstance(members, dict) else None
    if record is None:
        return None
    if "error" in members:
        return RecordResult(record, error=_error(members["error"]))
    try:
        return RecordResult(record, _completion(members.get("modelOutput"), dialect))
    except UpstreamAnswerError as error:
        return RecordResult(record, error=error)


def _record(value: object) -> int | None:
    if not isinstance(value, str) or len(value) != _DIGITS + 1 or not value.startswith("R"):
        return None
    return int(value[1:]) if value[1:].isascii() and value[1:].isdecimal() else None


def _completion(output: object, dialect: Dialect) -> Completion:
    body = orjson.dumps(output)
    return (
        invoke.from_invoke(body, {}) if dialect is Dialect.INVOKE else converse.from_converse(body)
    )


def _error(value: object) -> ServiceError:
    """Return the error as if the call had been answered with it."""
    error = value if isinstance(value, dict) else {}
    code, message = error.get("errorCode"), str(error.get("errorMessage") or "")
    status = code if isinstance(code, int) else _number(code)
    answer: Any = {
        "Error": {"Code": "" if status else str(code or ""), "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
    }
    return errors.from_client_error(ClientError(answer, "record"))


def _number(code: object) -> int:
    return int(code) if isinstance(code, str) and code.isascii() and code.isdecimal() else 0


def from_job(answer: Mapping[str, Any]) -> BatchJob:
    """Read GetModelInvocationJob's answer; an unknown status counts as in progress."""
    raw = str(answer.get("status") or "")
    message = answer.get("message")
    return BatchJob(
        str(answer.get("jobArn") or ""),
        _STATUSES.get(raw, BatchJobStatus.RUNNING),
        raw,
        None if message is None else str(message),
        counts(answer),
    )


def from_manifest(content: bytes) -> RecordCounts | None:
    """Read the counts in a manifest; None if they are not all there."""
    try:
        manifest = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return counts(manifest) if isinstance(manifest, dict) else None


def counts(members: Mapping[str, Any]) -> RecordCounts | None:
    """Read the counts of a job or of its manifest; None if they are not all there."""
    names = ("total", "processed", "success", "error")
    numbers = [members.get(f"{name}RecordCount") for name in names]
    if not all(isinstance(count, int) and not isinstance(count, bool) for count in numbers):
        return None
    return RecordCounts(*(int(count or 0) for count in numbers))
