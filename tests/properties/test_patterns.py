"""Regular expressions over callers' and the model's text take time that grows with its length."""

import subprocess
import sys

import pytest


@pytest.mark.long
def test_no_pattern_of_the_service_is_slow_over_64_kilobytes_made_to_be_slow():
    """Seconds are a guard: a linear pattern takes milliseconds, a quadratic one half a minute."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.patterns"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    *slow, count = run.stdout.splitlines()
    assert slow == []
    # Those that stand in functions are not seen, but many are.
    assert int(count.split()[0]) > 80
