"""The benchmarks that the comparison runs as commands of their own."""

from importlib.util import find_spec

import pytest

from bench.__main__ import OURS_ALONE


@pytest.mark.parametrize("command", OURS_ALONE.values(), ids=lambda command: command[0])
def test_every_separately_run_benchmark_exists(command):
    name, *_ = command
    assert find_spec(f"bench.{name}") is not None
