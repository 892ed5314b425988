"""Settings that could never work are refused in the operator's terms."""

from typing import get_args

import pytest
from pydantic import ValidationError

from app.settings import Settings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("image_url_hosts", ("https://a.org",)),
        ("image_url_hosts", ("*",)),
        ("image_url_hosts", ("a.org/pictures",)),
        ("image_url_hosts", ("a.org:99999",)),
        ("image_url_hosts", ("a.org:0",)),
        ("webhook_hosts", ("https://a.org",)),
        ("webhook_hosts", ("a.org:70000",)),
        ("image_s3_buckets", ("s3://pictures",)),
        ("image_s3_buckets", ("ab",)),
        ("image_s3_buckets", ("Pictures",)),
        ("files_bucket", "s3://files"),
        ("audit_heads_bucket", "s3://heads"),
        ("guardrail_overlap", 400),
        ("guardrail_thresholds", {"EMIAL": 0.5}),
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
def test_an_entry_that_can_never_match_is_refused_by_name(setting, value):
    with pytest.raises(ValidationError, match=f"{setting}: "):
        Settings(_env_file=None, **{setting: value})


@pytest.mark.parametrize("host", ["a.org", "a.org:8443", "*.a.org", "127.0.0.1:80", "[::1]:80"])
def test_every_form_of_host_is_accepted(host):
    assert Settings(_env_file=None, image_url_hosts=(host,)).image_url_hosts == (host,)


def test_buckets_are_accepted_with_and_without_a_prefix():
    buckets = ("pictures", "pictures/2026/")
    assert Settings(_env_file=None, image_s3_buckets=buckets).image_s3_buckets == buckets


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("region", "US-WEST-2"),
        ("image_s3_region", "oregon"),
        ("guardrail_region", "us-west"),
        ("files_region", "s3"),
        ("residency", "us-west-2,europe"),
        ("residency_declared", {"store redis": "europe"}),
        ("fallbacks", [{"region": "europe"}]),
        ("knowledge_bases", {"handbook": {"id": "ABCDEFGHIJ", "region": "europe"}}),
    ],
)
def test_a_malformed_region_is_refused_with_an_example(setting, value):
    with pytest.raises(ValidationError, match="is not an AWS region such as us-west-2"):
        Settings(_env_file=None, **{setting: value})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("keep_warm", 300),
        ("batch_jobs_kms_key", "alias/mine"),
        ("files_expire", float("inf")),
        ("job_expires", 1e18),
        ("cache_seconds", float("inf")),
        ("work_lease", float("inf")),
        ("shutdown_delay", float("inf")),
        ("oidc_jwks_url", "https://"),
        ("s3_event_endpoint", "/v1/embeddings"),
        ("oidc_jwks_url", "https://a b"),
        ("endpoint_url", "https://a.org/?x=1"),
        ("openai_url", "http://a.org/v1#x"),
        ("files_endpoint_url", "http://a.org/?x=1"),
    ],
)
def test_a_value_outside_its_bounds_is_refused(setting, value):
    with pytest.raises(ValidationError, match=setting):
        Settings(_env_file=None, **{setting: value})


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), 10**20])
def test_no_setting_accepts_a_negative_infinite_or_huge_number(value):
    fields = Settings.model_fields.items()
    numbers = {
        name
        for name, field in fields
        if {int, float} & {field.annotation, *get_args(field.annotation)}
    }

    with pytest.raises(ValidationError) as refused:
        Settings(_env_file=None, **dict.fromkeys(numbers, value))

    assert {fault["loc"][0] for fault in refused.value.errors()} == numbers


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("workers", 5000),
        ("image_workers", 5000),
        ("evidence_workers", 5000),
        ("max_body_bytes", 1),
        ("max_image_bytes", 1),
        ("max_image_pixels", 1),
        ("max_file_bytes", 1),
        ("files_quota_bytes", 1),
        ("audit_retention_days", 10**6),
        ("encryption_kms_key", "https://kms.us-west-2.amazonaws.com/x"),
        ("encryption_kms_key", "*"),
        ("encryption_kms_key", "handbook"),
        ("emf_namespace", " "),
        ("emf_namespace", "AWS/Bedrock"),
        ("emf_namespace", "Llama*Vision"),
        ("emf_namespace", "é"),
        ("oidc_audience", " "),
        ("oidc_scope_claim", " "),
        ("openai_model", "\t"),
        ("openai_key", "sk-1\n"),
        ("openai_key", "sk-é"),
        ("openai_key", " sk-1"),
    ],
)
def test_a_value_that_would_break_every_request_is_refused_at_the_start(setting, value):
    with pytest.raises(ValidationError, match=setting):
        Settings(_env_file=None, **{setting: value})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("audit_retention_days", 30),
        ("files_bucket", "files"),
        ("guardrail_id", "abcdefghij"),
        ("oidc_audience", "llama-vision"),
        ("oidc_filter_claims", {"tenant": "tenant_id"}),
        ("oidc_jwks_url", "https://id.example.com/keys"),
        ("oidc_scope_names", {"users": "generate"}),
    ],
)
def test_a_setting_without_the_one_it_depends_on_is_refused_naming_it(setting, value):
    with pytest.raises(ValidationError, match=f"{setting}: is set, but .* is "):
        Settings(_env_file=None, **{setting: value})


@pytest.mark.parametrize(
    "key",
    [
        "alias/llama-vision",
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "mrk-1234abcd12ab34cd56ef1234567890ab",
        "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/llama-vision",
    ],
)
def test_every_form_of_a_kms_key_is_accepted(key):
    assert Settings(_env_file=None, encryption_kms_key=key).encrypts
