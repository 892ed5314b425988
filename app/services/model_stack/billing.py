"""Notes whether Bedrock may bill a call without an answer."""

from app.domain.errors import ServiceError
from app.domain.generation import Bill


class BillWatch:
    """Notes in ``bill`` how the call in its block ends."""

    __slots__ = ("_bill",)

    def __init__(self, bill: Bill) -> None:
        self._bill = bill

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """End."""
        if error is not None and _may_be_billed(error):
            self._bill.open = True


def _may_be_billed(error: BaseException) -> bool:
    # An error from elsewhere cut the call off: the deadline, or a client that left.
    return not isinstance(error, ServiceError) or error.billed
