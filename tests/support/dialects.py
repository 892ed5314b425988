"""The dialects in which the emulator is called."""

from app.domain.model import Dialect

BEDROCK = (Dialect.INVOKE, Dialect.CONVERSE, Dialect.CHAT)
IMPORTED = "arn:aws:bedrock:us-east-1:123456789012:imported-model/llama32vis11"
MODEL_IDS = {
    Dialect.INVOKE: "us.meta.llama3-2-11b-instruct-v1:0",
    Dialect.CONVERSE: "us.meta.llama3-2-11b-instruct-v1:0",
    Dialect.CHAT: IMPORTED,
}
"""Models that the emulator serves in each dialect, pictures included."""
ALIAS = "gpt-4o-mini"
"""Another vendor's name, which SDKs ask for and the settings map to the model."""
