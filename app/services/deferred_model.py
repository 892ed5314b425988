"""The base class of pydantic models that are built on first use."""

from pydantic import BaseModel, ConfigDict


class DeferredModel(BaseModel):
    """A model whose validator and serializer are built at its first use, in a few milliseconds.

    The API has about two hundred models, of which most callers use a few; building all of them took
    a tenth of the start-up time. Query parameters must not use it, because FastAPI builds those
    itself and warns if that happens late.
    """

    model_config = ConfigDict(defer_build=True)
