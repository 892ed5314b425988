"""The environment of every test: fake credentials and none of the machine's settings."""

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from app import telemetry
from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.settings import PREFIX
from tests.support.servers.postgres import PostgresServer, postgres_server
from tests.support.servers.redis import redis_server
from tests.support.servers.uvicorn import serving
from tests.support.service import aws_descriptions, settings_sources

pytest_plugins = ["tests.support.programs.missing", "tests.support.repository.file_scheduling"]

NO_AUTHORITY = Path(__file__).parent / "data" / "no-authority.pem"
"""A certificate with an unknown key, which replaces the machine's trusted authorities.

Each client in these tests reads its authorities: a hundred and fifty take it 20 ms.
"""

LONGEST_ID = 150
"""The maximum length of a value in a test's id, in characters."""

aws_descriptions.share()
settings_sources.share()

# During collection the garbage collector finds nothing.
gc.disable()

telemetry.configure("warning")

# The suite draws the same examples each time, so that a commit passes or fails by itself.
hypothesis_settings.register_profile("suite", deadline=None, derandomize=True, print_blob=True)
hypothesis_settings.register_profile(
    "explore", deadline=None, max_examples=5_000, derandomize=False, print_blob=True
)
hypothesis_settings.load_profile("suite")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long values by their argument, as a test's id is sent with each of its reports."""
    return argname if isinstance(val, str | bytes) and len(val) > LONGEST_ID else None


def pytest_collection_finish() -> None:
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    # So that collecting a test's garbage takes no longer than the test.
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """Collect garbage, so that a socket left open fails this test and not a later one."""
    yield
    gc.collect()


@pytest.fixture(scope="session", autouse=True)
def _environment() -> Iterator[None]:
    """Give all tests one environment, in which each undoes its changes."""
    with pytest.MonkeyPatch.context() as patch:
        _isolate(patch)
        yield


@pytest.fixture(scope="module", autouse=True)
def _data_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give each file's services their own queue, as others would lease its rows and exit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"{PREFIX}DATA_DIRECTORY", str(tmp_path_factory.mktemp("data")))
        yield


def _isolate(patch: pytest.MonkeyPatch) -> None:
    """Remove the machine's settings and set fake credentials."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "OTEL_", "PG", PREFIX)):
            patch.delenv(name)
    patch.setenv("AWS_ACCESS_KEY_ID", "emulator")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "emulator")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # So that no developer's own profile is read.
    patch.setenv("AWS_CONFIG_FILE", os.devnull)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    patch.setenv("AWS_CA_BUNDLE", str(NO_AUTHORITY))
    patch.setenv("SSL_CERT_FILE", str(NO_AUTHORITY))
    # So that no test leaves a file behind.
    patch.setenv(f"{PREFIX}USAGE_STORE", "memory")
    # So that no test calls a control plane that it is not about.
    patch.setenv(f"{PREFIX}LIFECYCLE", "false")


@pytest.fixture(scope="session")
def emulator_url() -> Iterator[str]:
    """Return the URL of an emulator with defaults, shared by all tests of a process."""
    with serving(create_emulator(EmulatorConfig())) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of this test process's own Redis."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def _postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres(_postgres: PostgresServer) -> PostgresServer:
    """Return this test process's own PostgreSQL, without tables.

    Tests with it are in one group, so that one process starts one.
    """
    _postgres.query(
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public"
    )
    return _postgres


@pytest.fixture(scope="session")
def upstreams(s3_url: str) -> Iterator[dict[str, str]]:
    """Return the variables that point the documentation's pages to stand-ins for AWS."""
    from tests.support.servers.aws import aws_stand_ins

    with aws_stand_ins(s3_url) as variables:
        yield variables


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """Return the URL of an empty S3 server; each test file creates its own buckets."""
    # Imported here: it takes a second that most runs need not spend.
    from tests.support.servers.s3 import s3_server

    with s3_server() as url:
        yield url


@pytest.fixture
def collector_settings() -> Iterator[None]:
    """Restore this process's garbage collector settings, which the server changes."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
