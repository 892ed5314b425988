"""The SDK's descriptions of AWS's services, read once for all sessions of a process.

Each session would read them anew, and look through all services for the one that it calls: most of
the time of a test that starts the service.
"""

import functools
from typing import Any

import botocore.loaders
import botocore.session


class _Paths(list[str]):
    """Search folders, to which each boto3 session adds its own."""

    def append(self, path: str) -> None:
        if path not in self:
            super().append(path)


@functools.cache
def _shared_loader(search_path: str | None = None) -> Any:
    loader: Any = botocore.loaders.create_loader(search_path)
    loader._search_paths = _Paths(loader.search_paths)
    return loader


def share() -> None:
    """Make all sessions of this process use one loader."""
    # The session module has already imported the name.
    session: Any = botocore.session
    session.create_loader = _shared_loader
