"""Unusable settings are named before anything starts."""

import pytest

from app.settings import Settings, SettingsError
from app.wiring import preflight


@pytest.mark.parametrize(
    ("variable", "value", "settings", "words"),
    [
        ("AWS_PROFILE", "nobody", {}, "AWS_PROFILE: .* no profile 'nobody'"),
        ("AWS_CONFIG_FILE", __file__, {}, "AWS_CONFIG_FILE or AWS_.*: Unable to parse"),
        ("AWS_SHARED_CREDENTIALS_FILE", __file__, {}, "AWS_SHARED_CREDENTIALS_FILE: .*parse"),
        ("AWS_BEARER_TOKEN_BEDROCK", "two keys", {}, "AWS_BEARER_TOKEN_BEDROCK: "),
        ("AWS_BEARER_TOKEN_BEDROCK", '"key"', {}, "AWS_BEARER_TOKEN_BEDROCK: holds quotes"),
        ("AWS_ACCESS_KEY_ID", "AKIA\n", {}, "AWS_ACCESS_KEY_ID: holds .* line ends"),
        ("AWS_SECRET_ACCESS_KEY", "secret\r\n", {}, "AWS_SECRET_ACCESS_KEY: holds .* line ends"),
        ("AWS_SECRET_ACCESS_KEY", "'secret'", {}, "AWS_SECRET_ACCESS_KEY: holds quotes"),
        ("AWS_SECRET_ACCESS_KEY", "", {}, "AWS_SECRET_ACCESS_KEY: is missing"),
        ("AWS_SESSION_TOKEN", "token ", {}, "AWS_SESSION_TOKEN: holds"),
        ("AWS_CA_BUNDLE", "/none/ca.pem", {}, "AWS_CA_BUNDLE: /none/ca.pem: No such file"),
        ("AWS_CA_BUNDLE", __file__, {}, "AWS_CA_BUNDLE: "),
        ("HTTPS_PROXY", "proxy", {}, "HTTPS_PROXY: is not http://host:port"),
        ("HTTPS_PROXY", "proxy:3128", {}, "HTTPS_PROXY: is not http://host:port"),
        ("HTTPS_PROXY", "socks5://proxy:1080", {}, "HTTPS_PROXY: is not http://host:port"),
        ("X", "", {"region": "us-west-9"}, "REGION: AWS has no region 'us-west-9'"),
        ("X", "", {"guardrail_region": "us-west-9"}, "GUARDRAIL_REGION: AWS has no region"),
        ("X", "", {"residency": ("us-west-2", "us-east-9")}, "RESIDENCY: .* 'us-east-9'"),
        ("X", "", {"files_region": "eu-mars-1"}, "FILES_REGION: AWS has no region"),
        ("X", "", {"data_directory": "/dev/null/data"}, "DATA_DIRECTORY: .* not a folder"),
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
