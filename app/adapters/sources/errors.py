"""Translates failures to fetch a picture into `app.domain.errors`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import aiohttp
import httpx
from botocore import exceptions as aws

from app.domain import errors

_TIMEOUT = "fetching the picture took longer than this service waits"
_UNREACHABLE = "the picture's host can't be reached, or closed the connection"
_CHANGED = "the object was replaced while it was being read"
_DENIED = (
    "this service may not read the object: it needs s3:GetObject (s3:GetObjectVersion for a "
    "version_id), and the bucket must belong to the expected account. Without s3:ListBucket an "
    "object that doesn't exist looks the same"
)
_NOT_FOUND = "there is no such object, version or bucket"

# S3's name -> our class, and the message. A reply to HEAD has a bare status.
S3_TABLE: dict[str, tuple[type[errors.ImageError], str]] = {
    "403": (errors.ImageSourceDeniedError, _DENIED),
    "AccessDenied": (errors.ImageSourceDeniedError, _DENIED),
    "InvalidAccessKeyId": (errors.ImageSourceDeniedError, _DENIED),
    "SignatureDoesNotMatch": (errors.ImageSourceDeniedError, _DENIED),
    "InvalidObjectState": (errors.ImageSourceDeniedError, "the object is archived"),
    "404": (errors.ImageSourceNotFoundError, _NOT_FOUND),
    "NoSuchBucket": (errors.ImageSourceNotFoundError, _NOT_FOUND),
    "NoSuchKey": (errors.ImageSourceNotFoundError, _NOT_FOUND),
    "NoSuchVersion": (errors.ImageSourceNotFoundError, _NOT_FOUND),
    # A version that is a delete marker.
    "405": (errors.ImageSourceNotFoundError, _NOT_FOUND),
    "MethodNotAllowed": (errors.ImageSourceNotFoundError, _NOT_FOUND),
    # A malformed version_id or owner.
    "400": (errors.ImageSourceNotFoundError, _NOT_FOUND),
    "412": (errors.ImageSourceUnavailableError, _CHANGED),
    "PreconditionFailed": (errors.ImageSourceUnavailableError, _CHANGED),
}


@contextmanager
def from_http() -> Iterator[None]:
    """Raise errors of httpx, the resolver and the clock as an ImageError."""
    try:
        yield
    except (httpx.TimeoutException, TimeoutError) as error:
        raise errors.ImageSourceTimeoutError(_TIMEOUT) from error
    # UnicodeError: a host name that no resolver takes.
    except (httpx.HTTPError, OSError, UnicodeError) as error:
        raise errors.ImageSourceUnavailableError(_UNREACHABLE) from error


@contextmanager
def from_s3() -> Iterator[None]:
    """Raise errors of AWS's client and the clock as an ImageError."""
    try:
        yield
    except aws.ClientError as error:
        raise _from_client_error(error) from error
    except (aws.ConnectTimeoutError, aws.ReadTimeoutError, TimeoutError) as error:
        raise errors.ImageSourceTimeoutError(_TIMEOUT) from error
    except (aws.NoCredentialsError, aws.CredentialRetrievalError) as error:
        raise errors.ImageSourceDeniedError("this service has no AWS credentials") from error
    except (aws.BotoCoreError, aiohttp.ClientError, OSError) as error:
        raise errors.ImageSourceUnavailableError(_UNREACHABLE) from error


def _from_client_error(error: aws.ClientError) -> errors.ImageError:
    response = cast("dict[str, Any]", error.response)
    code = str(response.get("Error", {}).get("Code", ""))
    if code in S3_TABLE:
        cls, detail = S3_TABLE[code]
        return cls(detail)
    return errors.ImageSourceUnavailableError(f"Amazon S3 answered {code}")
