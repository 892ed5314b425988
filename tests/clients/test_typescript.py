"""TypeScript types generated from openapi/openapi.json fit a client's code."""

import os
import subprocess

from machine.browser import CLIENTS
from tests.support.programs.installed import npm_packages, program


def test_the_generated_types_accept_valid_requests_and_reject_invalid_ones(tmp_path):
    packages = npm_packages()
    for name in ("check.ts", "tsconfig.json"):
        (tmp_path / name).write_bytes((CLIENTS / name).read_bytes())
    node = program("node")
    types = tmp_path / "generated.d.ts"

    for command in (
        ("openapi-typescript/bin/cli.js", str(CLIENTS.parents[1] / "openapi/openapi.json"),
         "--default-non-nullable=false", "-o", str(types)),
        ("typescript/bin/tsc", "-p", str(tmp_path)),
    ):  # fmt: skip
        run = subprocess.run(
            [node, packages / command[0], *command[1:]],
            cwd=packages.parent, capture_output=True, text=True, timeout=100,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr
