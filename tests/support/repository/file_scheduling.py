"""Gives each file to one process of pytest-xdist, which then builds its fixtures once.

Tests with a mark ``xdist_group`` are given to one process with the others of their group.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadGroupScheduling


class FileScheduling(LoadGroupScheduling):  # type: ignore[misc]  # it ships no types
    """Schedules groups, and files of tests without one."""

    def _split_scope(self, nodeid: str) -> str:
        group = super()._split_scope(nodeid)
        return nodeid.partition("::")[0] if group == nodeid else group


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling | None:
    return FileScheduling(config, log) if config.getoption("dist") == "loadgroup" else None
