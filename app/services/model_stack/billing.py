"""Whether Bedrock may bill a call that brought no answer.

Noted next to the adapter, where it is known whether anything was sent; asked for above the retries,
where the caller's quotas are drawn on.
"""

from contextvars import ContextVar
from dataclasses import dataclass

from app.domain.errors import ServiceError


@dataclass(slots=True)
class Bill:
    """What is owed for one question, its retries included."""

    open: bool = False
    """A call was sent, and neither answered nor refused."""


_BILL: ContextVar[Bill | None] = ContextVar("bill", default=None)


def expect(bill: Bill) -> None:
    """Have the running task's calls noted in ``bill``."""
    _BILL.set(bill)


class noted:  # noqa: N801 - reads as a function
    """Notes how the call in its block ends."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """End."""
        bill = _BILL.get()
        if bill is not None and error is not None and _may_be_billed(error):
            bill.open = True


def _may_be_billed(error: BaseException) -> bool:
    # What is none of ours cut it off: the deadline, or the caller who left.
    return not isinstance(error, ServiceError) or error.billed
