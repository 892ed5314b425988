"""An error reply of AWS, or an exception within an event stream, taken apart. Pure.

AWS spells an error two ways: ``ThrottlingException`` in replies, ``throttlingException`` in
event-stream frames. Both arrive as botocore's ClientError and are read the same way.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, cast

from botocore.exceptions import ClientError

from app.adapters.retry_after import retry_after

FRONT_DOOR = (
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
)
"""AWS's common errors about credentials, which stand in no service's model."""
SENTENCE = 500
"""Characters of AWS's message that are logged or passed on."""


@dataclass(frozen=True, slots=True)
class AwsRefusal:
    """The parts of an AWS error."""

    name: str
    """The name as service models spell it, without its namespace; empty if there is none."""
    status: int
    """The HTTP status; 0 if the error came within a stream."""
    message: str
    retry_after: float | None
    """Seconds."""
    original_status: int
    """The model's own status behind a ModelErrorException; 0 if there is none."""

    @classmethod
    def from_error(cls, error: ClientError) -> "AwsRefusal":
        """Return the parts of ``error``."""
        # Looser than the stubs: an event-stream exception lacks metadata and some keys.
        response = cast("dict[str, Any]", error.response)
        details, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
        name = str(details.get("Code", "")).split(":")[0].rsplit("#")[-1]
        original = response.get("originalStatusCode", 0)
        return cls(
            name=name[:1].upper() + name[1:],
            status=int(metadata.get("HTTPStatusCode", 0)),
            message=str(details.get("Message", "")),
            retry_after=retry_after(metadata.get("HTTPHeaders", {}).get("retry-after")),
            original_status=original if isinstance(original, int) else 0,
        )

    def name_among(self, known: Container[str], by_status: Mapping[int, str]) -> str:
        """Return the name; one that is not ``known`` is replaced by that of the status."""
        return self.name if self.name in known else by_status.get(self.status, self.name)

    @property
    def first_line(self) -> str:
        """The message's first line; the lines behind a signature's fault quote the request."""
        return self.message.strip().partition("\n")[0]

    @property
    def for_log(self) -> str:
        """The first line without the header that a fault of it quotes."""
        return self.first_line.partition("Authorization=")[0][:SENTENCE]
