"""The order in which waiting items are leased, so that callers share the workers."""

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heapreplace
from typing import TypeVar

T = TypeVar("T")


def in_turn(candidates: Mapping[str, Sequence[T]], busy: Mapping[str, int], limit: int) -> list[T]:
    """Return at most ``limit`` of each caller's ``candidates``, keeping each caller's order.

    The next candidate is always taken from the caller with the fewest items in progress;
    ``busy`` gives the initial counts.
    """
    line = [(busy.get(owner, 0), owner, 0) for owner, items in candidates.items() if items]
    heapify(line)
    chosen: list[T] = []
    while line and len(chosen) < limit:
        doing, owner, index = line[0]
        chosen.append(candidates[owner][index])
        if index + 1 < len(candidates[owner]):
            heapreplace(line, (doing + 1, owner, index + 1))
        else:
            heappop(line)
    return chosen
