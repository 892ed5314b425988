"""A shell that runs the code blocks of one page in order, with an emulator."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fixtures.process import ROOT, clean, free_port
from tests.support.repository.pages import Block

SECONDS = 240
PORTS = ("8000", "8443", "9100")
"""Ports that pages name; each run replaces them with free ones."""
MODEL = "arn:aws:bedrock:us-west-2:123456789012:imported-model/abc123def456"
"""The model of the pages, which their programs call by its old name."""
LINKED = ("app", "bench", "deploy", "docs", "fixtures", "openapi", "requirements", "tests")
"""Parts of the repository that pages may name: the shell's folder has links to them."""
ENVIRONMENT = Path(sys.prefix)
_PICTURE_IN_PYTHON = "picture = open('tests/data/astronaut.png', 'rb').read()"
_PICTURE_IN_JAVASCRIPT = """import { readFileSync } from "node:fs";
const picture = readFileSync("tests/data/astronaut.png");"""
_BEGINNING = """\
set -euo pipefail
set -a  # Lines of .env are assignments without export.
set -m  # What goes on in the background is a process group of its own.
service=
block=?
trap 'echo "FAILED at $block: $BASH_COMMAND" >&2' ERR

# Without what make would install first.
make() {
    command make --no-print-directory -f '%(root)s/Makefile' VENV='%(environment)s' \\
        -o '%(environment)s/demo.stamp' -o '%(environment)s/dev.stamp' "$@"
}

# Two services of one page are on the same port.
stop_service() {
    if [ -n "$service" ]; then kill -- "-$service" && wait "$service" || true; fi
}

# Waits until the words are in a file, or the process that writes it has ended.
wait_for() {
    until grep --quiet --fixed-strings "$1" "$2"; do
        kill -0 "$3" 2> /dev/null || { cat "$2"; echo "FAILED at $block: it ended" >&2; exit 1; }
        sleep 0.1
    done
}
"""
_SERVICE = """\
block='the service before the first command'
python -m app serve > service.log 2>&1 &
service=$!
wait_for 'running on' service.log $service
"""
_PROFILE = "[profile my-profile]\naws_access_key_id = any\naws_secret_access_key = any\n"
_STARTS = re.compile(r"make (serve|run)|app (serve|dev)")
_SETTINGS = "python -c 'from app.settings import load; load()'\n"


@dataclass(frozen=True, slots=True)
class Interpreters:
    """The interpreters of a page's programs."""

    python: Path = Path(sys.executable)
    node: Path | None = None
    """None skips the programs in JavaScript."""
    node_modules: Path | None = None

    def script(self, language: str, text: str, name: str) -> str:
        """Return the lines that run a program, with a picture's bytes as ``picture``."""
        if language == "python":
            command, file, beginning = self.python, f"{name}.py", _PICTURE_IN_PYTHON
        else:
            assert self.node is not None
            command, file, beginning = self.node, f"{name}.mjs", _PICTURE_IN_JAVASCRIPT
        return f"cat > {file} << 'END'\n{beginning}\n{text}\nEND\n'{command}' {file}\n"


THIS = Interpreters()


def run(
    blocks: list[Block],
    folder: Path,
    upstreams: dict[str, str],
    interpreters: Interpreters = THIS,
) -> "subprocess.CompletedProcess[str]":
    """Run the blocks of a page in ``folder``, and return the exit status and the output.

    A program that imports nothing goes on where the one before it stopped. Where a page starts no
    service before it calls one, one is started. ``upstreams`` are variables that name where AWS is.
    """
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    if interpreters.node_modules:
        (folder / "node_modules").symlink_to(interpreters.node_modules)
    ports = {port: str(free_port()) for port in PORTS}
    script = _placed(_script(blocks, interpreters), folder, ports)
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=folder, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**_environment(folder, ports), **upstreams},
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        said = f"not over after {SECONDS} seconds"
    finally:
        _end_session(process.pid)
        process.wait()
    return subprocess.CompletedProcess("bash", process.returncode, said)


def _script(blocks: list[Block], interpreters: Interpreters) -> str:
    parts = [_BEGINNING % {"root": ROOT, "environment": ENVIRONMENT}]
    programs = {"python": "", "js": ""}
    serves = False
    for block in blocks:
        if not serves and "localhost:8000" in block.text and block.until is None:
            parts.append(_SERVICE)
            serves = True
        serves = serves or _STARTS.search(block.text) is not None
        if block.language in programs:
            goes_on = not re.search(r"^(import|from) ", block.text, re.MULTILINE)
            text = programs[block.language] + block.text if goes_on else block.text
            programs[block.language] = text
            shown = interpreters.script(block.language, text, f"block-{block.line}")
        else:
            shown = _commands(block)
        parts.append(_begun(block) + shown)
    return "".join(parts)


def _begun(block: Block) -> str:
    return f"block='{block.page}:{block.line}'\n"


def _commands(block: Block) -> str:
    if block.until is None:
        return block.commands + (_SETTINGS if "LLAMA_VISION_" in block.text else "")
    lines = block.commands.rstrip().splitlines()
    log = f"{block.line}.log"
    *before, last = lines
    serves = _STARTS.search(last) is not None
    return "\n".join(
        (
            *before,
            "stop_service" if serves else "",
            f"touch {log}; {{ {last}\n}} > {log} 2>&1 &",
            "service=$!" if serves else "",
            f"wait_for '{block.until}' {log} $!",
            "",
        )
    )


def _placed(script: str, folder: Path, ports: dict[str, str]) -> str:
    """Return the script with the pages' ports and folder replaced by this run's."""
    for port, taken in ports.items():
        for host in ("localhost", "127.0.0.1"):
            script = script.replace(f"{host}:{port}", f"{host}:{taken}")
        script = script.replace(f"PORT={port}", f"PORT={taken}")
    return script.replace("/etc/llama-vision", f"{folder}/etc")


def _end_session(leader: int) -> None:
    """End every process that the shell has started, in any process group."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        # After the name, which may contain anything: state, parent, group, session.
        with suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[3]) == leader:
                os.kill(int(entry.parent.name), signal.SIGKILL)


def _environment(folder: Path, ports: dict[str, str]) -> dict[str, str]:
    (folder / "etc").mkdir()
    (folder / "aws").write_text(_PROFILE)
    return {
        **clean(),
        "HOME": str(folder),
        "PATH": f"{ENVIRONMENT / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "AWS_CONFIG_FILE": str(folder / "aws"),
        "LLAMA_VISION_PORT": ports["8000"],
        "LLAMA_VISION_IMAGE_WORKERS": "1",
        "LLAMA_VISION_REGION": "us-west-2",
        "LLAMA_VISION_MODEL_ID": MODEL,
        "LLAMA_VISION_MODEL_ALIASES": "us.meta.llama3-2-11b-instruct-v1:0",
        "EMULATOR_PORT": ports["9100"],
    }
