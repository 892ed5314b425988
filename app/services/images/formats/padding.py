"""Finds the padding of an interrupted transfer: bytes that are repeated up to the end of data."""

LONGEST = 64
"""Maximum bytes of the repeated pattern."""
LEAST = 2 * LONGEST
"""Minimum bytes of padding."""
LAST = 8
"""Final bytes that are searched for before the end, as a quick check."""


def start(data: bytes, first: int, end: int) -> int:
    """Return the offset from which the bytes before ``end`` repeat; ``end`` if they don't.

    Bytes before ``first`` are not looked at.
    """
    found = data.rfind(data[end - LAST : end], max(first, end - LAST - LONGEST), end - 1)
    at, period = end - LEAST, end - LAST - found
    if found < 0 or at < first or data[at : end - period] != data[at + period : end]:
        return end
    step = LEAST
    while step and at > first:
        before = max(first, at - step)
        if data[before:at] == data[before + period : at + period]:
            at, step = before, 2 * step
        else:
            step //= 2
    return at
