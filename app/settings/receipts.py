"""Receipts of answers."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ReceiptSettings(BaseModel):
    """Receipts of answers."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    receipt_key_file: Annotated[
        Path | None,
        Field(
            description="File of Ed25519 keys that sign receipts and audit heads; the last one "
            "signs, all are published. `python -m app receipts new-key` adds one, optionally "
            "encrypted by AWS KMS. Reloaded when it changes. Unset: no receipts."
        ),
    ] = None
    receipts: Annotated[
        Literal["requested", "always"],
        Field(
            description="Which paid answers carry a receipt: those whose request has `Prefer: "
            "receipt`, or all."
        ),
    ] = "requested"
    receipt_caller: Annotated[
        Literal["id", "hash"],
        Field(description="How receipts name the caller: by its id, or by the id's SHA-256."),
    ] = "id"

    @model_validator(mode="after")
    def _check_receipt_key(self) -> Self:
        if self.receipts == "always" and self.receipt_key_file is None:
            raise ValueError("receipt_key_file: is missing, but receipts is always")
        return self
