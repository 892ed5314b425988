"""A virtual environment of one requirement file's packages, with lines of progress."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from machine import system
from machine.errors import SetupError

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "requirements" / "build.txt"
STEPS = 5
"""Lines of progress while packages are fetched, where they can't be written over each other."""
_PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")
_COLLECTING = re.compile(r"Collecting (\S+?)[=<> (]")


def python(folder: Path) -> Path:
    """Return the interpreter of the environment in ``folder``."""
    return folder / "bin" / "python"


def create(folder: Path) -> None:
    """Make an environment with pip in it; raise SetupError where Python can make none."""
    if python(folder).exists() and _runs(python(folder), "-m", "pip", "--version"):
        return
    if importlib.util.find_spec("ensurepip") is None:
        # Debian and Ubuntu keep it in a package of its own.
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if not system.install(package):
            raise SetupError(
                f"Missing: Python's venv module, without which nothing can be installed. "
                f"Get it with: {system.advice(package)}"
            )
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", folder], capture_output=True, text=True
    )
    if made.returncode:
        raise SetupError(f"Python can't make a virtual environment in {folder}: {_last(made)}")


def install(folder: Path, requirements: Path) -> None:
    """Make the environment where there is none, and install; raise SetupError where that fails."""
    create(folder)
    # The one package without a wheel is pure Python; what makes its wheel is pinned too.
    pinned = ("install", "--no-deps", "--require-hashes")
    _pip(folder, *pinned, "--only-binary", ":all:", "-r", str(BUILD))
    _pip(
        folder,
        *(*pinned, "--no-build-isolation", "--progress-bar", "off", "-r", str(requirements)),
        count=len(re.findall(r"^\S+==", requirements.read_text(), re.MULTILINE)),
    )


def pip(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run pip of the environment, quietly."""
    return subprocess.run(
        [python(folder), *_PIP, *arguments], capture_output=True, text=True, check=False
    )


def _pip(folder: Path, *arguments: str, count: int = 0) -> None:
    process = subprocess.Popen(
        [python(folder), *_PIP, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    progress = Progress(count)
    for line in process.stdout:
        said.append(line)
        if match := _COLLECTING.match(line):
            progress.collected(match[1])
        elif line.startswith("Installing collected packages"):
            progress.unpacking()
    progress.end()
    if process.wait():
        raise SetupError(f"pip can't install what {arguments[-1]} pins:\n{''.join(said[-6:])}")


class Progress:
    """Prints progress: on a terminal in one line, elsewhere in a few."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._done = 0
        self._terminal = sys.stdout.isatty()

    def collected(self, name: str) -> None:
        """Count a package that was fetched."""
        self._done += 1
        step = max(1, self._count // STEPS)
        if self._terminal or self._done % step == 1 or step == 1:
            self._tell(f"Installing packages: {self._done} of at most {self._count}, {name}")

    def unpacking(self) -> None:
        """Print that all packages are fetched."""
        self._tell(f"Installing packages: {self._done} fetched, unpacking them")

    def end(self) -> None:
        """End the line of progress."""
        if self._terminal and self._count and self._done:
            sys.stdout.write("\n")

    def _tell(self, text: str) -> None:
        if self._count:
            sys.stdout.write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")
            sys.stdout.flush()


def _runs(*command: str | Path) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _last(run: "subprocess.CompletedProcess[str]") -> str:
    return (run.stdout + run.stderr).strip().rpartition("\n")[2]
