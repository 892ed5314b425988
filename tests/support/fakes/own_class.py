"""Lets a test patch methods of one object whose class has slots."""

from typing import TypeVar

InstanceT = TypeVar("InstanceT")


def with_own_class(instance: InstanceT) -> InstanceT:
    """Return ``instance`` with a class of its own.

    Services that other tests share in this process may have instances of the original class, which
    patches of ``type(instance)`` then leave alone.
    """
    kind = type(instance)
    instance.__class__ = type(kind.__name__, (kind,), {"__slots__": ()})
    return instance
