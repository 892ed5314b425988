"""Known vulnerabilities of the packages in the service's image, by pip-audit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine.environment import ROOT

REQUIREMENTS = ROOT / "requirements" / "service.txt"
SKIPPED = "Not audited: no database of known vulnerabilities is reached from here."


def run() -> int:
    """Ask for each package; return 1 where a vulnerability is known, else 0."""
    audit = subprocess.run(
        [Path(sys.executable).with_name("pip-audit"), "--progress-spinner", "off", "--format",
         "json", "--disable-pip", "--require-hashes", "-r", REQUIREMENTS],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines, known = verdict(audit.stdout)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return int(known)


def verdict(report: str) -> tuple[list[str], bool]:
    """Return a summary of pip-audit's report, and whether a vulnerability is known."""
    packages: list[dict[str, Any]] = json.loads(report)["dependencies"] if report.strip() else []
    # The database answers for each package alone, and may know none of them.
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        return [SKIPPED], False
    lines = [
        f"{package['name']} {package['version']}: {fault['id']}, "
        f"mended in {', '.join(fault['fix_versions']) or 'no release'}"
        for package in asked
        for fault in package["vulns"]
    ]
    return [*lines, f"Audited {len(asked)} of {len(packages)} packages."], bool(lines)
