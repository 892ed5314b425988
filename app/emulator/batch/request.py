"""The body of CreateModelInvocationJob, checked by the patterns of its service model."""

import re
from dataclasses import dataclass
from typing import Any

from app.emulator.wire.control_request import members
from app.emulator.wire.errors import invalid

_TEXTS = {
    "jobName": (r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\+\-\.]){0,63}", 63),
    "roleArn": (r"arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+", 2048),
    "modelId": (r".+", 2048),
    "clientRequestToken": (r"[a-zA-Z0-9]{1,256}(-*[a-zA-Z0-9]){0,256}", 256),
    "modelInvocationType": (r"InvokeModel|Converse", 16),
}
_REQUIRED = ("jobName", "roleArn", "modelId", "inputDataConfig", "outputDataConfig")
_OTHERS = ("inputDataConfig", "outputDataConfig", "timeoutDurationInHours", "vpcConfig", "tags")
_S3_URI = re.compile(
    r"s3://(?P<bucket>[a-z0-9][-.a-z0-9]{1,61}[a-z0-9])"
    r"(?P<key>(?:/[-!_*'().a-z0-9A-Z]+(?:/[-!_*'().a-z0-9A-Z]+)*)?/?)"
)
_LEAST_HOURS, _MOST_HOURS = 24, 168


@dataclass(frozen=True, slots=True)
class Place:
    """A place in S3."""

    bucket: str
    key: str


def checked(body: bytes) -> dict[str, Any]:
    """Return the members of a request, or raise a 400."""
    fields = members(body, _REQUIRED, {*_TEXTS, *_OTHERS})
    for key, (wanted, longest) in _TEXTS.items():
        if key in fields:
            _check_text(fields[key], key, wanted, longest)
    _check_hours(fields.get("timeoutDurationInHours", _LEAST_HOURS))
    source(fields)
    target(fields)
    return fields


def source(fields: dict[str, Any]) -> Place:
    """Return where the records are, or raise a 400 for an invalid place."""
    match fields["inputDataConfig"]:
        case {"s3InputDataConfig": {"s3Uri": str(uri), **more}, **others} if not others:
            if more.get("s3InputFormat", "JSONL") != "JSONL":
                raise invalid("inputDataConfig.s3InputDataConfig.s3InputFormat must be JSONL.")
            return place(uri, "inputDataConfig.s3InputDataConfig.s3Uri")
    raise invalid("inputDataConfig must hold s3InputDataConfig with s3Uri.")


def target(fields: dict[str, Any]) -> Place:
    """Return where the answers go, or raise a 400 for an invalid place."""
    match fields["outputDataConfig"]:
        case {"s3OutputDataConfig": {"s3Uri": str(uri)}, **others} if not others:
            return place(uri, "outputDataConfig.s3OutputDataConfig.s3Uri")
    raise invalid("outputDataConfig must hold s3OutputDataConfig with s3Uri.")


def place(uri: str, name: str) -> Place:
    """Return the place that ``uri`` names, or raise a 400."""
    match = _S3_URI.fullmatch(uri)
    if match is None or len(uri) > 1024:
        raise _mismatch(name, _S3_URI.pattern)
    return Place(match["bucket"], match["key"].removeprefix("/"))


def _check_text(value: object, key: str, wanted: str, longest: int) -> None:
    if not isinstance(value, str) or len(value) > longest or not re.fullmatch(wanted, value):
        raise _mismatch(key, wanted)


def _check_hours(hours: object) -> None:
    if isinstance(hours, bool) or not isinstance(hours, int):
        raise invalid("timeoutDurationInHours is not an integer.")
    if not _LEAST_HOURS <= hours <= _MOST_HOURS:
        raise invalid(
            f"1 validation error detected: Value at 'timeoutDurationInHours' failed to satisfy"
            f" constraint: Member must be between {_LEAST_HOURS} and {_MOST_HOURS}"
        )


def _mismatch(key: str, wanted: str) -> Exception:
    return invalid(
        f"1 validation error detected: Value at '{key}' failed to satisfy constraint:"
        f" Member must satisfy regular expression pattern: {wanted}"
    )
