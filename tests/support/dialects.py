"""The dialects in which the emulator is called."""

from app.domain.model import Dialect

BEDROCK = (Dialect.INVOKE, Dialect.CONVERSE)
