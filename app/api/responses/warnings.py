"""Warnings, as every dialect renders them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from app.domain.image import AnswerWarning, ImageReport
from app.services.deferred_model import DeferredModel

WARNINGS_HEADER = "X-Warnings"
IGNORED_HEADER = "X-Ignored-Parameters"


class WarningOut(DeferredModel):
    """A warning about an answer."""

    code: str
    message: str

    @classmethod
    def from_domain(cls, warning: AnswerWarning) -> "WarningOut":
        """Render ``warning``."""
        return cls(code=warning.code, message=warning.message)


def together(
    warnings: Iterable[AnswerWarning], images: Iterable[ImageReport]
) -> list[AnswerWarning]:
    """Return an answer's warnings and those of its pictures, for dialects without reports."""
    if not images:
        return list(warnings)
    return [*warnings, *(warning for report in images for warning in report.warnings)]


def headers(warnings: Sequence[AnswerWarning], ignored: Sequence[str]) -> dict[str, str]:
    """Return a foreign dialect's warning headers: warnings' codes, and ignored parameters."""
    if not warnings and not ignored:
        return {}
    fields = {
        WARNINGS_HEADER: ", ".join(dict.fromkeys(warning.code for warning in warnings)),
        IGNORED_HEADER: ", ".join(_listed(ignored)),
    }
    return {name: value for name, value in fields.items() if value}


MOST_LISTED = 50
"""Maximum parameters that are listed as ignored."""
_NAME = re.compile(r"[\w.\-\[\]]{1,100}", re.ASCII)
"""Matches names that are safe in a header, as callers choose them."""


def _listed(names: Iterable[str]) -> Iterator[str]:
    """Yield the ``names`` that are safe in a header, each once."""
    fitting = (name for name in dict.fromkeys(names) if _NAME.fullmatch(name))
    yield from islice(fitting, MOST_LISTED)
