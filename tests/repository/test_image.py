"""The image without a container: the Dockerfile's steps are run here and their result serves."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.process import ROOT, free_port
from machine import image
from tests.support.programs.installed import image_packages
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

HEALTHCHECK = ROOT / "deploy" / "image" / "healthcheck"
DOCKERFILE = image.DOCKERFILE.read_text()
REQUIREMENTS = ROOT / "requirements"
NO_ONE = 10001
MEGABYTE = 1_000_000
BASE = 125
"""Maximum megabytes of python:3.13-slim; the workflow measures the whole image."""


def healthy(port: int, path: str) -> bool:
    return subprocess.run([HEALTHCHECK, str(port), path], check=False).returncode == 0


@pytest.fixture
def packages() -> Path:
    return image_packages()


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    """Return a read-only copy of the runtime stage's working folder."""
    folder = Path(shutil.copytree(ROOT / "app", tmp_path / "srv" / "app")).parent
    (compiling,) = [run for run in image.commands("runtime") if "compileall" in run]
    command = re.sub("^python", sys.executable, compiling)
    subprocess.run(["sh", "-c", command], cwd=folder, check=True)
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return folder


@contextmanager
def served(packages: Path, srv: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the image's command with only the image's environment."""
    said = dict(re.findall(r"(LLAMA_VISION_\w+)=(\S+)", DOCKERFILE.split(" AS service\n")[1]))
    environment = {
        **said, "PATH": f"{packages.resolve() / 'bin'}:/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1", "LLAMA_VISION_HOST": "127.0.0.1",
        "LLAMA_VISION_PORT": str(port), "LLAMA_VISION_USAGE_STORE": "memory",
        "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
    }  # fmt: skip
    command = re.findall(r'^CMD \["(.*)"\]$', DOCKERFILE, re.MULTILINE)[-1].split('", "')
    process = subprocess.Popen(
        [packages.resolve() / "bin" / command[0], *command[1:]],
        cwd=srv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **_nobody(srv),
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _nobody(srv: Path) -> dict[str, Any]:
    """Return Popen's arguments for the image's user, if that user can read the files."""
    if os.geteuid() != 0:
        return {}
    for folder in (*srv.parents, *image_packages().resolve().parents):
        if not folder.stat().st_mode & 0o001:
            return {}
    return {"user": NO_ONE, "group": NO_ONE, "extra_groups": []}


def test_the_images_contents_serve_on_a_read_only_file_system(packages, srv):
    port = free_port()
    before = sorted(srv.rglob("*"))
    assert list(srv.rglob("*.pyc"))

    with served(packages, srv, port) as process:
        for _ in range(600):
            if healthy(port, "/healthz") or process.poll() is not None:
                break
            time.sleep(0.1)
        assert process.poll() is None, process.communicate()[0].decode()
        assert healthy(port, "/healthz")
        (stop,) = re.findall(r"^STOPSIGNAL (\w+)$", DOCKERFILE, re.MULTILINE)
        process.send_signal(getattr(signal, stop))
        assert process.wait(timeout=60) == 0
    assert sorted(srv.rglob("*")) == before


def test_the_image_stays_under_350_megabytes(packages):
    weight = sum(
        path.lstat().st_size
        for folder in (packages, ROOT / "app")
        for path in folder.rglob("*")
        if not path.is_dir()
    )

    assert BASE + weight / MEGABYTE < 350


def test_the_image_has_the_ocr_engine_if_built_with_it():
    (usual,) = image.commands("service-packages")
    (reading,) = image.commands("service-packages", PACKAGES="service-ocr")
    named = {
        name: set(re.findall(r"^([\w.-]+)==", (REQUIREMENTS / name).read_text(), re.MULTILINE))
        for name in ("service.txt", "service-ocr.txt")
    }

    assert '-r "requirements/service.txt"' in usual
    assert '-r "requirements/service-ocr.txt"' in reading
    assert {"rapidocr", "onnxruntime", "numpy"} <= named["service-ocr.txt"] - named["service.txt"]
    assert named["service.txt"] <= named["service-ocr.txt"]
    assert "--build-arg PACKAGES=service-ocr" in (ROOT / "docs" / "evidence.md").read_text()


def test_the_image_keeps_no_installer(packages):
    modules = {path.name.partition("-")[0] for path in packages.glob("lib/*/site-packages/*")}

    assert "uvicorn" in modules
    assert modules.isdisjoint({"pip", "setuptools"})


def test_only_a_200_answer_is_healthy():
    with serving(Rig().app()) as url:
        port = int(url.rpartition(":")[2])

        assert healthy(port, "/healthz")
        assert not healthy(port, "/nothing")
    assert not healthy(port, "/healthz")


def test_the_base_is_pinned_by_digest_and_every_other_stage_derives_from_it():
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    (base, *rest) = stages

    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base[0])
    # Lambda's adapter is one program copied from an image, which is a versioned argument.
    adapter = [parent for parent, name in rest if name == "lambda-adapter"]
    assert adapter == ["${LAMBDA_ADAPTER}"]
    assert re.search(
        r"^ARG LAMBDA_ADAPTER=\S+:\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE
    )
    assert {parent for parent, _ in rest} <= {name for _, name in stages} | {*adapter}
    assert stages[-1][1] == "service"
