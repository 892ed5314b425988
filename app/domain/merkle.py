"""Merkle trees of RFC 9162: hashes, roots and proofs.

A node is named by its level and its index there: node ``(level, index)`` covers the leaves from
``index << level`` on, ``1 << level`` of them. Complete nodes never change, so a store keeps only
those, and everything else is computed.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256

Node = tuple[int, int]
"""Level and index."""
Range = tuple[int, int]
"""Leaves from the first number up to, and not including, the second."""

EMPTY = sha256().digest()
"""Root of a tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Return a leaf's hash."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two nodes together."""
    return sha256(b"\x01" + left + right).digest()


def cover(leaves: Range) -> list[Node]:
    """Return the complete nodes that cover ``leaves``, the largest first.

    ``leaves`` begins at a possible beginning of a subtree of its size, like all ranges of roots and
    proofs.
    """
    first, last = leaves
    nodes = []
    while first < last:
        level = (last - first).bit_length() - 1
        nodes.append((level, first >> level))
        first += 1 << level
    return nodes


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the hash of the leaves covered by the nodes of `cover`, from these nodes' hashes."""
    if not hashes:
        return EMPTY
    *before, root = hashes
    for left in reversed(before):
        root = node_hash(left, root)
    return root


def _split(size: int) -> int:
    """Return the largest power of two below ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the ranges whose hashes prove that leaf ``index`` is in a tree of ``size``."""
    ranges, first, last = [], 0, size
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            ranges.append((middle, last))
            last = middle
        else:
            ranges.append((first, middle))
            first = middle
    return ranges[::-1]


def consistency_ranges(old: int, size: int) -> list[Range]:
    """Return the ranges whose hashes prove that a tree of ``old`` leaves is the first part."""
    if old in (0, size):
        return []
    ranges, first, last, whole = [], 0, size, True
    while old != last:
        middle = first + _split(last - first)
        if old <= middle:
            ranges.append((middle, last))
            last = middle
        else:
            ranges.append((first, middle))
            first, whole = middle, False
    if not whole:
        ranges.append((first, last))
    return ranges[::-1]


def appended(size: int, edge: Mapping[Node, bytes], leaves: Sequence[bytes]) -> dict[Node, bytes]:
    """Return the nodes that become complete when ``leaves`` (hashes) follow ``size`` others.

    ``edge`` has the hashes of ``cover((0, size))``.
    """
    new: dict[Node, bytes] = {}
    level, first, hashes = 0, size, list(leaves)
    while hashes:
        new.update(zip(((level, first + at) for at in range(len(hashes))), hashes, strict=True))
        if first % 2:
            first, hashes = first - 1, [edge[level, first - 1], *hashes]
        pairs = zip(hashes[::2], hashes[1::2], strict=False)
        level, first, hashes = level + 1, first // 2, [node_hash(*pair) for pair in pairs]
    return new
