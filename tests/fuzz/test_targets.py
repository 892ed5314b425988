"""Ten seconds of the fuzzers in every run of the suite; `make fuzz` gives them ten minutes.

The workflow gives them a minute, in a job of its own.
"""

import pytest

from tests.fuzz.campaign import campaign
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS

SECONDS = 10


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_bytes_are_read_or_refused_with_a_typed_error(name):
    target = TARGETS[name]

    with target.opened() as check:
        assert campaign(target.strategy, check, SECONDS / len(TARGETS)) > 0


def test_a_planted_defect_is_found():
    def check(data: bytes) -> None:
        assert b"\0\0" not in data

    with pytest.raises(AssertionError):
        campaign(mutated([b"a", b"b"], [b"\0"]), check, seconds=60)
