"""``python -m machine environment FOLDER FILE``, ``tests FOLDER`` and ``audit``."""

import argparse
import signal
import sys
from pathlib import Path

from machine import audit, environment, preparation
from machine.errors import SetupError


def main() -> int:
    """Run one command; return 0, or 1 after saying what is missing."""
    parser = argparse.ArgumentParser(prog="python -m machine", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("environment", help="install one requirement file")
    one.add_argument("folder", type=Path)
    one.add_argument("requirements", type=Path)
    everything = commands.add_parser("tests", help="install what the test suite needs")
    everything.add_argument("folder", type=Path)
    commands.add_parser("audit", help="look for known vulnerabilities of what is pinned")
    arguments = parser.parse_args()
    try:
        if arguments.command == "environment":
            environment.install(arguments.folder, arguments.requirements)
        elif arguments.command == "audit":
            return audit.run()
        else:
            preparation.prepare(arguments.folder)
    except SetupError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


INTERRUPTED = 128 + signal.SIGINT

if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; the same command goes on from here.\n")
        sys.exit(INTERRUPTED)
