"""The base of models that are declared at the start and built on first use."""

from pydantic import BaseModel, ConfigDict


class DeferredModel(BaseModel):
    """A model whose validator and serializer are built at its first use, in a few milliseconds.

    The API has some two hundred; most callers use a few, and to build all took a tenth of a start.
    Query parameters must not use it: FastAPI itself builds those, and warns where it does so late.
    """

    model_config = ConfigDict(defer_build=True)
