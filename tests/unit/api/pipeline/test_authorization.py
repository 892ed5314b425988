"""The cache of authorisation rules by path."""

from app.api.pipeline.authorization import CLOSED, LONGEST, RULES, Gatekeeper


def test_long_paths_are_not_cached():
    keeper = Gatekeeper(RULES)
    for number in range(1000):
        assert keeper._rule(f"/{number}" + "x" * 60_000) is CLOSED
    assert keeper._known.cache_info().currsize == 0

    assert keeper._rule("/v1/generate").prefix == "/v1/generate"
    assert keeper._rule("/v1/tasks/" + "x" * LONGEST).prefix == "/v1/tasks"
    assert keeper._known.cache_info().currsize == 1
