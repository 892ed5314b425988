"""Reads an upstream's errors about the form that an answer was to have. Pure."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.errors import OutputFormRefusedError, UpstreamValidationError
from app.domain.generation import ModelRequest

# Words of vLLM's refusals and of AWS's documented member names.
_WORDS = re.compile(
    r"response_format|structured.output|guided|grammar|json.?schema|\bschema\b|xgrammar|outlines",
    re.IGNORECASE,
)


@contextmanager
def refused_form(request: ModelRequest) -> Iterator[None]:
    """Raise a refusal of ``request``'s form as an OutputFormRefusedError."""
    try:
        yield
    except UpstreamValidationError as error:
        if request.form is None or not _WORDS.search(error.detail):
            raise
        raise OutputFormRefusedError(error.detail) from error
