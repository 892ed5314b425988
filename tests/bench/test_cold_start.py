"""Cold starts: the bench's reading of import times, and what a start must not import."""

import subprocess
import sys
from pathlib import Path

from bench.micro.cold_start import Start, least, medians, modules, packages, start

ROOT = Path(__file__).parents[2]
LOG = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   fastapi.routing
import time:        50 |        150 | fastapi
{"event": "started"}
import time:        30 |         30 |     app.api.v1.jobs
import time:         5 |         35 |   app.api.v1
import time:         2 |         37 | app.api
import time: self [us] | cumulative | imported package
import time:      7000 |       7000 | PIL
"""
LATER = {
    "app.emulator",
    "asyncpg",
    "cryptography",
    "httpx_sse",
    "joserfc",
    "llama_models",
    "moto",
    "numpy",
    "onnxruntime",
    "opentelemetry.exporter",
    "opentelemetry.sdk",
    "pgqueuer",
    "rapidocr",
    "redis",
    "rfc8785",
    "tiktoken",
}
"""Modules that only a setting, a task or another command needs."""


def printed(program: str) -> list[str]:
    """Run ``program`` in a process of its own and return the words that it prints."""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return run.stdout.split()


def test_imports_are_summed_by_package_and_a_decoders_left_out():
    assert packages(modules(LOG)) == {"fastapi": 150, "app.api.v1": 35, "app.api": 2}


def test_the_least_time_of_each_package_over_several_profiles_is_reported():
    profiles = [{"fastapi": 150, "app": 3}, {"fastapi": 120, "app": 4, "once": 1}]

    assert least(profiles) == {"fastapi": 120, "app": 3}


def test_each_figure_is_the_median_of_the_runs():
    starts = [Start(2.5, 2.0, 0.3), Start(9.0, 2.1, 0.2), Start(2.6, 2.2, 0.4)]

    assert medians(starts) == {"clock": 2.6, "cpu": 2.1, "decoders_cpu": 0.3}


def test_a_start_imports_nothing_that_only_some_setting_needs():
    taken, log = start(PYTHONPROFILEIMPORTTIME="1")

    imported = modules(log)
    assert not LATER & imported.keys()
    assert {"fastapi", "botocore"} <= imported.keys()
    assert taken.decoders_cpu == 0


def test_a_start_builds_few_models_of_bodies_and_answers():
    program = (
        "import app.main, pydantic\n"
        "def below(model): return {model}.union(*map(below, model.__subclasses__()))\n"
        "ours = [model for model in below(pydantic.BaseModel)\n"
        "    if model.__module__.startswith(('app.api.', 'app.services.'))]\n"
        "print(len(ours), sum(model.__pydantic_complete__ for model in ours))\n"
    )

    # Models of headers, and those that an example or a default needs.
    models, built = map(int, printed(program))
    assert models > 150
    assert built < 20


def test_the_aws_data_that_sessions_read_is_read_once():
    # In a process of its own: the tests' process has already read AWS's descriptions.
    program = (
        "from app.adapters.aws_session import aws_session, regions; from unittest import mock;"
        "from botocore.loaders import JSONFileLoader as Files; read = Files.load_file\n"
        "with mock.patch.object(Files, 'load_file', autospec=True, side_effect=read) as reading:\n"
        "    regions(); aws_session().get_available_regions('ec2')\n"
        "names = [call.args[1].rpartition('/')[2] for call in reading.call_args_list]\n"
        "print(names.count('endpoints'))"
    )

    assert printed(program) == ["1"]


def test_the_garbage_collector_skips_the_modules_that_a_command_imports():
    program = (
        "import gc; from app.__main__ import _command; _command('serve');"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000, len(gc.get_objects()) < 10_000)"
    )

    assert printed(program) == ["True", "True", "True"]
