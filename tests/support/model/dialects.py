"""The dialects of the emulator that tests use."""

from app.domain.model import Dialect

BEDROCK = (Dialect.INVOKE, Dialect.CONVERSE, Dialect.CHAT)
IMPORTED = "arn:aws:bedrock:us-east-1:123456789012:imported-model/llama32vis11"
MODEL_IDS = {
    Dialect.INVOKE: "us.meta.llama3-2-11b-instruct-v1:0",
    Dialect.CONVERSE: "us.meta.llama3-2-11b-instruct-v1:0",
    Dialect.CHAT: IMPORTED,
}
"""A model for each dialect that the emulator serves with pictures."""
ALIAS = "gpt-4o-mini"
"""Another vendor's model name, which the settings map to the model."""
