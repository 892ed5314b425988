"""Regular expressions over callers' and the model's text take linear time."""

import subprocess
import sys

import pytest


@pytest.mark.long
def test_no_regular_expression_of_the_service_is_slow_on_adversarial_64_kilobytes():
    """The limit is generous: a linear pattern takes milliseconds, a quadratic one half a minute."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.repository.slow_patterns"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    *slow, count = run.stdout.splitlines()
    assert slow == []
    # Patterns within functions are not found, but many are.
    assert int(count.split()[0]) > 80
