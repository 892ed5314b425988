"""Bedrock batch jobs are not used where they would bypass a guardrail."""

from typing import Any

from app.settings import Settings
from app.wiring.batch_jobs import unavailable

PLACE: dict[str, Any] = {
    "batch_jobs_location": "s3://bucket/prefix/",
    "batch_jobs_role": "arn:aws:iam::123456789012:role/bedrock-batch",
    "guardrail_id": "strict",
}


def test_a_guardrail_within_the_model_call_excludes_batch_jobs():
    own = unavailable(Settings(_env_file=None, **PLACE, guardrail_kind="apply"))
    within = unavailable(Settings(_env_file=None, **PLACE, guardrail_kind="model"))

    assert own is None
    assert within is not None
    assert "guardrail" in within
