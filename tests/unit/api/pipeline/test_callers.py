"""The caller to whom a request counts before authentication."""

from app.api.pipeline import callers
from app.api.pipeline.callers import Callers

HERE = "10.0.0.1"
THERE = "10.0.0.2"


def key(number: int) -> dict[bytes, bytes]:
    return {b"x-api-key": b"k%d" % number}


def test_without_authentication_made_up_keys_count_as_their_address():
    known = Callers(authenticates=False)
    known.note(key(0))

    assert {known.share(key(number), HERE) for number in range(1000)} == {"10.0.0.1"}
    assert known.share({b"authorization": b"Bearer x"}, THERE) == "10.0.0.2"


def test_made_up_keys_count_as_the_address_they_come_from():
    known = Callers(authenticates=True)

    assert {known.share(key(number), HERE) for number in range(1000)} == {"10.0.0.1"}
    assert known.share({}, HERE) == "10.0.0.1"


def test_callers_with_valid_keys_are_distinguished_at_any_address():
    known = Callers(authenticates=True)
    known.note(key(1))
    known.note(key(2))
    known.note({b"authorization": b"Bearer k1"})

    assert known.share(key(1), HERE) == known.share(key(1), THERE)
    assert known.share({b"authorization": b"Bearer k1"}, "") == known.share(key(1), HERE)
    assert known.share(key(1), HERE) != known.share(key(2), HERE)
    assert "k1" not in known.share(key(1), HERE)


def test_the_number_of_remembered_keys_is_bounded(monkeypatch):
    monkeypatch.setattr(callers, "KNOWN", 2)
    known = Callers(authenticates=True)
    known.note(key(1))
    known.note(key(2))
    known.share(key(1), HERE)
    known.note(key(3))

    assert known.share(key(2), HERE) == "10.0.0.1"
    assert known.share(key(1), HERE) != "10.0.0.1"
    assert known.share(key(3), HERE) != "10.0.0.1"
