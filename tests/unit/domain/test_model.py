"""Model ids of every kind."""

import pytest

from app.domain.model import (
    CAPABILITIES,
    LLAMA_3_2_11B,
    LLAMA_3_2_90B,
    MODELS,
    Capabilities,
    Dialect,
    ModelKind,
    capabilities,
    choose_dialect,
    common,
    identify,
)

ARN = "arn:aws:bedrock:us-west-2:123456789012:"


@pytest.mark.parametrize(
    ("configured", "kind", "base"),
    [
        ("us.meta.llama3-2-11b-instruct-v1:0", ModelKind.INFERENCE_PROFILE, LLAMA_3_2_11B),
        ("meta.llama3-2-11b-instruct-v1:0", ModelKind.FOUNDATION_MODEL, LLAMA_3_2_11B),
        ("meta.llama3-2-11b-instruct-v1:0:128k", ModelKind.FOUNDATION_MODEL, LLAMA_3_2_11B),
        ("us.meta.llama3-2-90b-instruct-v1:0", ModelKind.INFERENCE_PROFILE, LLAMA_3_2_90B),
        (
            f"{ARN}inference-profile/us.meta.llama3-2-90b-instruct-v1:0",
            ModelKind.INFERENCE_PROFILE,
            LLAMA_3_2_90B,
        ),
        (
            f"{ARN}application-inference-profile/abc123",
            ModelKind.APPLICATION_INFERENCE_PROFILE,
            LLAMA_3_2_11B,
        ),
        (f"{ARN}imported-model/abc123def456", ModelKind.IMPORTED_MODEL, LLAMA_3_2_11B),
        (f"{ARN}provisioned-model/abc123", ModelKind.PROVISIONED_MODEL, LLAMA_3_2_11B),
        (
            "arn:aws:bedrock:us-west-2::foundation-model/meta.llama3-2-11b-instruct-v1:0",
            ModelKind.FOUNDATION_MODEL,
            LLAMA_3_2_11B,
        ),
    ],
)
def test_every_accepted_form_of_id_is_distinguished(configured, kind, base):
    identity = identify(configured)

    assert (identity.id, identity.kind, identity.base) == (configured, kind, base)
    assert identity.alias is None


def test_the_id_on_an_older_aws_page_is_an_alias():
    identity = identify("meta.llama3-2-11b-instruct-v10")

    assert identity.id == "meta.llama3-2-11b-instruct-v1:0"
    assert identity.alias == "meta.llama3-2-11b-instruct-v10"


def test_an_arn_contains_its_region():
    assert identify(f"{ARN}imported-model/abc").region == "us-west-2"


def test_the_model_behind_an_opaque_id_can_be_configured():
    assert identify(f"{ARN}imported-model/abc", "llama3-2-90b").base is LLAMA_3_2_90B
    assert identify("us.meta.llama4-scout-17b-instruct-v1:0", "llama3-2-11b").base is LLAMA_3_2_11B


@pytest.mark.parametrize(
    "configured",
    ["", "llama", "gpt-4", f"{ARN}guardrail/abc", "us.meta.llama4-scout-17b-instruct-v1:0"],
)
def test_an_unknown_model_is_refused_listing_the_known_ones(configured):
    with pytest.raises(ValueError, match=r"meta\.|accepted|whose limits"):
        identify(configured)


@pytest.mark.parametrize(
    ("configured", "base", "dialect"),
    [
        (f"{ARN}imported-model/abc123def456", None, Dialect.CHAT),
        ("us.meta.llama3-2-11b-instruct-v1:0", None, Dialect.INVOKE),
        ("meta.llama3-2-90b-instruct-v1:0:128k", None, Dialect.INVOKE),
        (
            "arn:aws-us-gov:bedrock:us-west-2::foundation-model/meta.llama3-2-11b-instruct-v1:0",
            None,
            Dialect.INVOKE,
        ),
        ("us.meta.llama4-scout-17b-instruct-v1:0", "llama3-2-11b", Dialect.CONVERSE),
        (f"{ARN}provisioned-model/abc123", None, Dialect.CONVERSE),
        (f"{ARN}application-inference-profile/abc123", None, Dialect.CONVERSE),
    ],
)
def test_the_dialect_follows_from_the_kind_of_id(configured, base, dialect):
    choice = choose_dialect(identify(configured, base))

    assert choice.dialect is dialect
    assert choice.reason


def test_every_dialect_and_model_has_a_row_of_capabilities():
    assert set(CAPABILITIES) == {(dialect, model.key) for dialect in Dialect for model in MODELS}
    assert capabilities(Dialect.CHAT, LLAMA_3_2_11B).max_images == 3
    assert capabilities(Dialect.INVOKE, LLAMA_3_2_11B).max_images == 1


def test_several_targets_have_the_capabilities_common_to_all():
    rows = [Capabilities(max_images=3, logprobs=True, stop=True), Capabilities(stop=True)]

    assert common(rows) == Capabilities(stop=True)
