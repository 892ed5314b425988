"""The ids of uploaded files, as every dialect's bodies name them."""

from typing import Annotated

from pydantic import Field

FileId = Annotated[str, Field(pattern="^file-", max_length=64)]
