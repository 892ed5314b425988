"""Known vulnerabilities of what the service's image holds, as pip-audit knows them."""

import subprocess
import sys
from pathlib import Path

from machine.environment import ROOT

REQUIREMENTS = ROOT / "requirements" / "service.txt"
SKIPPED = "Not audited: no database of vulnerabilities is reached from here."
_UNREACHED = ("ConnectionError", "Could not connect", "Max retries exceeded", "ServiceError")


def run() -> int:
    """Print what is known of each package; return 0 where nothing is, or nothing can be asked."""
    program = Path(sys.executable).with_name("pip-audit")
    audit = subprocess.run(
        [program, "--progress-spinner", "off", "--disable-pip", "--require-hashes", "-r",
         REQUIREMENTS],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if audit.returncode and any(mark in audit.stderr for mark in _UNREACHED):
        sys.stdout.write(f"{SKIPPED}\n")
        return 0
    sys.stdout.write(audit.stdout + audit.stderr)
    return audit.returncode
