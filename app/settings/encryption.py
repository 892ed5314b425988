"""The keys that encrypt callers' data."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.settings.types import Name, Seconds

_KMS_KEY = re.compile(
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d+:(key|alias)/[\w/-]+|alias/[\w/-]+|(mrk-)?[0-9a-f-]{32,36}"
)


class EncryptionSettings(BaseModel):
    """The keys that encrypt callers' data."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    encryption_key_file: Annotated[
        Path | None,
        Field(
            description="File of root keys, which wrap each caller's key; the last one wraps "
            "new callers' keys. `python -m app encryption new-key` adds one. Without a file "
            "and without a KMS key, callers' data is kept unencrypted."
        ),
    ] = None
    encryption_kms_key: Annotated[
        Name | None,
        Field(
            description="AWS KMS key, by ARN, id or alias, instead of such a file. The service "
            "needs `kms:GenerateDataKey` and `kms:Decrypt` for it."
        ),
    ] = None
    caller_keys_store: Annotated[
        Literal["directory", "redis", "postgres"],
        Field(
            description="Where callers' wrapped keys are kept. `directory`: in "
            "`LLAMA_VISION_DATA_DIRECTORY`, for one machine. `redis`, `postgres`: for several "
            "replicas together. Data whose key is lost can't be read again."
        ),
    ] = "directory"
    caller_keys_held: Annotated[
        Seconds,
        Field(
            description="Seconds for which a worker uses a caller's key before it asks the "
            "store again: the longest delay until it notices an erasure by another worker."
        ),
    ] = 60

    @model_validator(mode="after")
    def _check_one_root(self) -> Self:
        if self.encryption_key_file is not None and self.encryption_kms_key is not None:
            raise ValueError(
                "encryption_kms_key: is set beside encryption_key_file; give one of them"
            )
        if self.encryption_kms_key is not None and not _KMS_KEY.fullmatch(self.encryption_kms_key):
            raise ValueError(
                "encryption_kms_key: is not a key of AWS KMS: give its ARN, its id, or alias/name"
            )
        return self

    @property
    def encrypts(self) -> bool:
        """Whether callers' data is encrypted."""
        return self.encryption_key_file is not None or self.encryption_kms_key is not None
