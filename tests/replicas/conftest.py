from collections.abc import Iterator

import pytest

from tests.support.service.replicas import Rehearsal, rehearsed


@pytest.fixture(scope="package")
def rehearsal(emulator_url, redis_url, tmp_path_factory) -> Iterator[Rehearsal]:
    with rehearsed(tmp_path_factory.mktemp("replicas"), emulator_url, redis_url) as all_of_it:
        yield all_of_it
