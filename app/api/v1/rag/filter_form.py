"""The metadata filter of a request: an object with one of thirteen operators."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.domain.metadata_filter import (
    MAX_COMPARISONS,
    MAX_KEY,
    MAX_TEXT,
    MAX_VALUES,
    FilterError,
    MetadataFilter,
    parse,
)
from app.services.deferred_model import DeferredModel

_STRICT = ConfigDict(extra="forbid", strict=True)
Key = Annotated[
    str,
    Field(min_length=1, max_length=MAX_KEY, description="Name of a document's metadata attribute."),
]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Scalar = Text | bool | int | float


class AnyComparison(DeferredModel):
    """An attribute and a value of its own type."""

    model_config = _STRICT

    key: Key
    value: Scalar


class NumberComparison(DeferredModel):
    """An attribute and a number."""

    model_config = _STRICT

    key: Key
    value: int | float


class ListComparison(DeferredModel):
    """An attribute and a list of values."""

    model_config = _STRICT

    key: Key
    value: Annotated[list[Scalar], Field(min_length=1, max_length=MAX_VALUES)]


class TextComparison(DeferredModel):
    """An attribute and a text."""

    model_config = _STRICT

    key: Key
    value: Text


_Group = Annotated[list["FilterIn"], Field(min_length=2, max_length=MAX_COMPARISONS)]


class FilterIn(DeferredModel):
    """A filter over documents' metadata: exactly one of these operators, as Bedrock spells them."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    equals: AnyComparison | None = None
    not_equals: Annotated[AnyComparison | None, Field(alias="notEquals")] = None
    greater_than: Annotated[NumberComparison | None, Field(alias="greaterThan")] = None
    greater_than_or_equals: Annotated[
        NumberComparison | None, Field(alias="greaterThanOrEquals")
    ] = None
    less_than: Annotated[NumberComparison | None, Field(alias="lessThan")] = None
    less_than_or_equals: Annotated[NumberComparison | None, Field(alias="lessThanOrEquals")] = None
    is_in: Annotated[ListComparison | None, Field(alias="in")] = None
    not_in: Annotated[ListComparison | None, Field(alias="notIn")] = None
    starts_with: Annotated[TextComparison | None, Field(alias="startsWith")] = None
    list_contains: Annotated[
        TextComparison | None,
        Field(alias="listContains", description="The attribute is a list that contains the text."),
    ] = None
    string_contains: Annotated[
        TextComparison | None,
        Field(
            alias="stringContains",
            description="The attribute is a text that contains the "
            "value, or a list with such a text.",
        ),
    ] = None
    and_all: Annotated[
        _Group | None, Field(alias="andAll", description="All of these filters match.")
    ] = None
    or_all: Annotated[
        _Group | None, Field(alias="orAll", description="At least one of these filters matches.")
    ] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise PydanticCustomError("filter", "a filter holds exactly one operator")
        return self

    def to_filter(self) -> MetadataFilter:
        """Return the domain's form. Raises FilterError if it is too long or nested too deeply."""
        return parse(self.model_dump(by_alias=True, exclude_none=True))


def checked(form: FilterIn | None) -> FilterIn | None:
    """Return ``form`` if it is within bounds; pydantic calls this and adds the place to errors."""
    if form is not None:
        try:
            form.to_filter()
        except FilterError as error:
            raise PydanticCustomError("filter", "{message}", {"message": str(error)}) from error
    return form
