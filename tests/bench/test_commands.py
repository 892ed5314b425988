"""The benchmarks that the comparison runs as commands of their own."""

from importlib.util import find_spec

import pytest

from bench.__main__ import OURS_ALONE


@pytest.mark.parametrize("command", OURS_ALONE.values(), ids=lambda command: command[0])
def test_a_benchmark_that_is_run_apart_is_there(command):
    name, *_ = command
    assert find_spec(f"bench.{name}") is not None
