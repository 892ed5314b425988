"""The work done for one request, counted: Python functions called, which no clock can blur.

More work than planned turns this red before anyone measures it.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BUDGET = {"text": 908, "picture": 1208, "stream": 7735}
"""Calls for one request, as ``python -m bench.calls`` prints them; ``--top 30`` says which ones.

Write its numbers here when the path of a request became shorter, or longer for a good reason.
"""
MORE, LESS = 1.10, 0.75
"""Python's and the libraries' versions differ by a few per cent."""


@pytest.fixture(scope="module")
def calls():
    run = subprocess.run(
        [sys.executable, "-m", "bench.calls"], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.xdist_group("calls")
@pytest.mark.parametrize("kind", BUDGET)
def test_a_request_takes_no_more_python_calls_than_budgeted(calls, kind):
    assert calls[kind] <= BUDGET[kind] * MORE


@pytest.mark.xdist_group("calls")
@pytest.mark.parametrize("kind", BUDGET)
def test_the_budget_is_no_wider_than_the_work(calls, kind):
    assert calls[kind] >= BUDGET[kind] * LESS, "write the new number into BUDGET"
