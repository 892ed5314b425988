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
    """Return a record's id: eleven letters and digits, as AWS makes them where there is none."""
    return f"R{record:0{_DIGITS}d}"


def to_line(record: int, request: ModelRequest, dialect: Dialect) -> bytes:
    """Return the record's line, its line end included."""
    write: Callable[[ModelRequest], tuple[bytes, ...]]
    write = invoke.to_invoke if dialect is Dialect.INVOKE else converse.to_body
    head = b'{"recordId":"%b","modelInput":' % record_id(record).encode()
    return b"".join((head, *write(request), b"}\n"))


def from_line(line: bytes, dialect: Dialect) -> RecordResult | None:
    """Return the result in a line of the output; None where the line is none of ours."""
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    record = _record(said.get("recordId")) if isinstance(said, dict) else None
    if record is None:
        return None
    if "error" in said:
        return RecordResult(record, error=_error(said["error"]))
    try:
        return RecordResult(record, _completion(said.get("modelOutput"), dialect))
    except UpstreamAnswerError as error:
        return RecordResult(record, error=error)


def _record(said: object) -> int | None:
    if not isinstance(said, str) or len(said) != _DIGITS + 1 or not said.startswith("R"):
        return None
    return int(said[1:]) if said[1:].isascii() and said[1:].isdecimal() else None


def _completion(output: object, dialect: Dialect) -> Completion:
    body = orjson.dumps(output)
    return (
        invoke.from_invoke(body, {}) if dialect is Dialect.INVOKE else converse.from_converse(body)
    )


def _error(said: object) -> ServiceError:
    """Return the error as if the call had been answered with it."""
    told = said if isinstance(said, dict) else {}
    code, message = told.get("errorCode"), str(told.get("errorMessage") or "")
    status = code if isinstance(code, int) else _number(code)
    answer: Any = {
        "Error": {"Code": "" if status else str(code or ""), "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
    }
    return errors.from_client_error(ClientError(answer, "record"))


def _number(code: object) -> int:
    return int(code) if isinstance(code, str) and code.isascii() and code.isdecimal() else 0


def from_job(said: Mapping[str, Any]) -> BatchJob:
    """Read GetModelInvocationJob's answer; an unknown status counts as in progress."""
    raw = str(said.get("status") or "")
    message = said.get("message")
    return BatchJob(
        str(said.get("jobArn") or ""),
        _STATUSES.get(raw, BatchJobStatus.RUNNING),
        raw,
        None if message is None else str(message),
        counts(said),
    )


def from_manifest(content: bytes) -> RecordCounts | None:
    """Read the counts in a manifest; None where they are not all there."""
    try:
        said = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return counts(said) if isinstance(said, dict) else None


def counts(said: Mapping[str, Any]) -> RecordCounts | None:
    """Read the counts of a job or of its manifest; None where they are not all there."""
    names = ("total", "processed", "success", "error")
    found = [said.get(f"{name}RecordCount") for name in names]
    if not all(isinstance(count, int) and not isinstance(count, bool) for count in found):
        return None
    return RecordCounts(*(int(count or 0) for count in found))
