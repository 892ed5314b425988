"""The work done for one request, counted: Python functions called, which no clock can blur.

More work than planned turns this red before anyone measures it.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

BUDGET = {
    "text": 398,
    "text, X-Request-Timeout": 401,
    "text, X-Allow-Second-Bill": 401,
    "text, Idempotency-Key": 455,
    "invalid body": 175,
    "chat": 443,
    "invoke": 402,
    "converse": 439,
    "picture": 542,
    "upload of 100 KB": 679,
    "upload of 3 MB": 819,
    "stream": 2448,
}
"""Calls for one request, as ``python -m bench.micro.calls`` prints them; ``--top 30`` names them.

Write its numbers here when the path of a request became shorter, or longer for a good reason.
"""
MORE, LESS = 1.10, 0.75
"""Python's and the libraries' versions differ by a few per cent; a budget much wider than the work
would hold nothing."""


def test_a_request_stays_within_its_budget_of_python_calls():
    run = subprocess.run(
        [sys.executable, "-m", "bench.micro.calls"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr

    counted = json.loads(run.stdout)
    ratios = {kind: round(counted[kind] / budget, 2) for kind, budget in BUDGET.items()}
    assert all(LESS <= ratio <= MORE for ratio in ratios.values()), (counted, ratios)


def test_headers_and_other_dialects_cost_little_more_than_plain_text():
    others = [calls for kind, calls in BUDGET.items() if kind.startswith(("text,", "invoke", "co"))]

    assert len(others) == 5
    assert max(others) <= BUDGET["text"] * 1.2
