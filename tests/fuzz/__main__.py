"""``python -m tests.fuzz [TARGET ...]``: ten minutes in all, or SECONDS_EACH of the environment."""

import os
import sys

from app import telemetry
from tests.fuzz.campaign import campaign
from tests.fuzz.targets import TARGETS

SECONDS = 600


def main() -> int:
    """Fuzz each target; stop at the first failure, which Hypothesis has minimised."""
    telemetry.configure("error")
    names = sys.argv[1:] or [*TARGETS]
    seconds = float(os.environ.get("SECONDS_EACH") or SECONDS / len(names))
    for name in names:
        with TARGETS[name].opened() as check:
            held = campaign(TARGETS[name].strategy, check, seconds)
        sys.stdout.write(f"{name}: {held} examples in {seconds:.0f} s\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
