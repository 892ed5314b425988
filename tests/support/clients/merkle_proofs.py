"""Verifies an audit log's proofs as its clients do, by the algorithms of RFC 9162."""

from collections.abc import Sequence

from app.domain.merkle import EMPTY, node_hash


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Tell whether ``leaf`` (a hash) is at ``index`` of the tree; RFC 9162, section 2.1.3.2."""
    if index >= size:
        return False
    at, last, digest = index, size - 1, leaf
    for sibling in proof:
        if not last:
            return False
        if at % 2 or at == last:
            digest = node_hash(sibling, digest)
            while not at % 2 and at:
                at, last = at // 2, last // 2
        else:
            digest = node_hash(digest, sibling)
        at, last = at // 2, last // 2
    return not last and digest == root


def verify_consistency(
    old: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes
) -> bool:
    """Tell whether the tree of ``old`` leaves is the beginning of the other; section 2.1.4.2."""
    if old == size:
        return not proof and old_root == root
    if not old:
        return not proof and old_root == EMPTY
    if old > size or (not proof and old & (old - 1)):
        return False
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    at, last = old - 1, size - 1
    while at % 2:
        at, last = at // 2, last // 2
    first = second = path[0]
    for sibling in path[1:]:
        if not last:
            return False
        if at % 2 or at == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not at % 2 and at:
                at, last = at // 2, last // 2
        else:
            second = node_hash(second, sibling)
        at, last = at // 2, last // 2
    return not last and first == old_root and second == root
