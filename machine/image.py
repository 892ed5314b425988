"""The packages of the service's image, installed beside the environment as the Dockerfile says.

There is no container: its RUN lines are run here, with the environment's folder for /opt/venv.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from machine.environment import ROOT

DOCKERFILE = ROOT / "Dockerfile"
STAGES = ("packages", "service-packages")
_PLACE = "/opt/venv"


def folder_beside(environment_folder: Path) -> Path:
    """Return the folder that stands for the image's /opt/venv."""
    return environment_folder.with_name(f"{environment_folder.name}-image")


def commands(stage: str, **arguments: str) -> list[str]:
    """Return the RUN lines of a stage of the Dockerfile, built with ``arguments``."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    match = re.search(rf"^FROM \S+ AS {stage}\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, stage
    values = {**dict(re.findall(r"^ARG (\w+)=(\S+)$", match[1], re.MULTILINE)), **arguments}
    runs = re.findall(r"^RUN (.*)$", match[1], re.MULTILINE)
    return [re.sub(r"\$\{(\w+)\}", lambda name: values.get(name[1], name[0]), run) for run in runs]


def current(environment_folder: Path) -> bool:
    """Return whether they are installed as the Dockerfile and its requirement files say now."""
    return _stamp(environment_folder).exists()


def install(environment_folder: Path) -> bool:
    """Run the lines in a new folder; return whether that worked."""
    folder = folder_beside(environment_folder).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    for command in (command for stage in STAGES for command in commands(stage)):
        # The image's own ``python``, before there is an environment, is the one that runs this.
        here = re.sub(r"^python(?= )", sys.executable, command).replace(_PLACE, str(folder))
        run = subprocess.run(["sh", "-c", here], cwd=ROOT, capture_output=True, check=False)
        if run.returncode:
            return False
    _stamp(environment_folder).touch()
    return True


def _stamp(environment_folder: Path) -> Path:
    inputs = (DOCKERFILE, *(ROOT / "requirements" / f"{name}.txt" for name in ("build", "service")))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    return folder_beside(environment_folder) / f".{digest}"
