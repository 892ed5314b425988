"""The body of CreateModelImportJob, checked by the patterns of its service model."""

import re
from typing import Any

from app.emulator.wire.control_request import members
from app.emulator.wire.errors import invalid

_FIELDS = {
    "jobName": r"[a-zA-Z0-9](-*[a-zA-Z0-9\+\-\.])*",
    "importedModelName": r"([0-9a-zA-Z][_-]?)+",
    "roleArn": r"arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+",
    "clientRequestToken": r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,254}[a-zA-Z0-9])?",
    "importedModelKmsKeyId": (
        r"(arn:aws(-[^:]+)?:kms:[a-zA-Z0-9-]*:[0-9]{12}:((key/[a-zA-Z0-9-]{36})"
        r"|(alias/[a-zA-Z0-9-_/]+)))|([a-zA-Z0-9-]{36})|(alias/[a-zA-Z0-9-_/]+)"
    ),
}
_LONGEST = {"jobName": 63, "importedModelName": 63}
_REQUIRED = ("jobName", "importedModelName", "roleArn", "modelDataSource")
_UNREAD = ("jobTags", "importedModelTags", "vpcConfig", "modelDataSource")
_S3_URI = (
    r"s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]"
    r"(?:/[-!_*'().a-z0-9A-Z]+(?:/[-!_*'().a-z0-9A-Z]+)*)?/?"
)


def checked(body: bytes) -> dict[str, Any]:
    """Return the members of a request, or raise a 400."""
    fields = members(body, _REQUIRED, {*_FIELDS, *_UNREAD})
    for key, wanted in _FIELDS.items():
        if key in fields:
            _check_text(fields[key], key, wanted)
    _check_source(fields["modelDataSource"])
    return fields


def _check_text(value: object, key: str, wanted: str) -> None:
    longest = _LONGEST.get(key, 2048)
    if not isinstance(value, str) or len(value) > longest or not re.fullmatch(wanted, value):
        raise invalid(
            f"1 validation error detected: Value at '{key}' failed to satisfy constraint:"
            f" Member must satisfy regular expression pattern: {wanted}"
        )


def _check_source(source: object) -> None:
    match source:
        case {"s3DataSource": {"s3Uri": str(uri), **others}, **more} if not others and not more:
            _check_text(uri, "modelDataSource.s3DataSource.s3Uri", _S3_URI)
        case _:
            raise invalid("modelDataSource must hold s3DataSource with s3Uri.")
