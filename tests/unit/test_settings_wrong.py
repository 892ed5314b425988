"""Settings that could never work are refused in the operator's words."""

import pytest
from pydantic import ValidationError

from app.settings import Settings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("image_url_hosts", ("https://a.org",)),
        ("image_url_hosts", ("*",)),
        ("image_url_hosts", ("a.org/pictures",)),
        ("image_s3_buckets", ("s3://pictures",)),
        ("image_s3_buckets", ("*",)),
        ("allowed_hosts", ("*",)),
        ("allowed_hosts", ("a.org", "*.*")),
        ("allowed_hosts", ("https://a.org",)),
        ("allowed_hosts", ("a.org:8000",)),
        ("cors_origins", "*"),
        ("cors_origins", "a.org"),
        ("limits", {"generate:request": "1/second"}),
        ("limits", {"everything:requests": "1/second"}),
        ("keys", '[{"id": "a", "scopes": ["everything"]}]'),
        ("oidc_scope_names", {"users": "generate everything"}),
    ],
)
def test_an_entry_that_could_never_match_is_refused_by_name(setting, value):
    with pytest.raises(ValidationError, match=f"{setting}: "):
        Settings(_env_file=None, **{setting: value})


@pytest.mark.parametrize("host", ["a.org", "a.org:8443", "*.a.org", "127.0.0.1:80", "[::1]:80"])
def test_hosts_of_each_form_are_taken(host):
    assert Settings(_env_file=None, image_url_hosts=(host,)).image_url_hosts == (host,)


def test_buckets_are_taken_with_and_without_a_prefix():
    buckets = ("pictures", "pictures/2026/")
    assert Settings(_env_file=None, image_s3_buckets=buckets).image_s3_buckets == buckets
