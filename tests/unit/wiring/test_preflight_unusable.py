"""What can't be used is named before anything starts."""

import pytest

from app.settings import Settings, SettingsError
from app.wiring import preflight


@pytest.mark.parametrize(
    ("variable", "value", "settings", "words"),
    [
        ("AWS_PROFILE", "nobody", {}, "AWS_PROFILE: .* no profile 'nobody'"),
        ("AWS_BEARER_TOKEN_BEDROCK", "two keys", {}, "AWS_BEARER_TOKEN_BEDROCK: "),
        ("X", "", {"region": "us-west-9"}, "REGION: AWS has no region 'us-west-9'"),
        ("X", "", {"guardrail_region": "us-west-9"}, "GUARDRAIL_REGION: AWS has no region"),
        ("X", "", {"residency": ("us-west-2", "us-east-9")}, "RESIDENCY: .* 'us-east-9'"),
        ("X", "", {"files_region": "eu-mars-1"}, "FILES_REGION: AWS has no region"),
        ("X", "", {"data_directory": "/dev/null/data"}, "DATA_DIRECTORY: /dev/null is no folder"),
        (
            "X",
            "",
            {"usage_store": "sqlite", "usage_file": "/none/u.sqlite3"},
            "USAGE_FILE: /none does not exist",
        ),
    ],
)  # fmt: skip
def test_an_unusable_setting_stops_the_start(monkeypatch, variable, value, settings, words):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=words):
        preflight.check(Settings(_env_file=None, **settings))
