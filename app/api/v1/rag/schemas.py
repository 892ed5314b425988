"""Schemas of the bodies of POST /v1/rag/query."""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, Json, WithJsonSchema

from app.api.openapi.examples import RAG
from app.api.openapi.form import exemplified
from app.api.routing.multipart import FormFile
from app.api.v1.image_forms import ImageIn, received
from app.api.v1.rag.filter_form import FilterIn, checked
from app.domain.conversation import alternating
from app.domain.errors import InvalidParameterError
from app.domain.generation import CallContext, ImageInput, Role, Sampling, Turn
from app.domain.image import ReceivedImage
from app.domain.model import Language
from app.domain.retrieval import Search
from app.services.deferred_model import DeferredModel
from app.services.retrieval.request import Mode, RagRequest, Surplus

MAX_QUESTION = 20_000
MAX_HISTORY = 40
_IMAGE = "image"
# Swagger UI would show a text with a media type as a file.
_TEXT = WithJsonSchema({"type": "string"})


class HistoryTurn(DeferredModel):
    """An earlier turn of the conversation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["user", "assistant"]
    content: str


History = Annotated[list[HistoryTurn], Field(max_length=MAX_HISTORY)]
Filter = Annotated[FilterIn | None, AfterValidator(checked)]


class RagOptions(DeferredModel):
    """Parameters of a question about the documents of a knowledge base."""

    model_config = ConfigDict(extra="forbid")

    knowledge_base: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            description="Name of a knowledge base, as listed by `GET /v1/rag/knowledge-bases`.",
        ),
    ]
    question: Annotated[
        str,
        Field(
            max_length=MAX_QUESTION,
            description="The question. Optional if there is a picture.",
        ),
    ] = ""
    max_results: Annotated[
        int, Field(ge=1, le=100, description="Maximum number of chunks, best first.")
    ] = 5
    search: Annotated[
        Search | None,
        Field(
            strict=False,
            description="`semantic`: search by meaning. `hybrid`: by meaning and words. By "
            "default Bedrock chooses.",
        ),
    ] = None
    rerank: Annotated[
        bool,
        Field(description="Let a model rank the chunks again, if one is configured."),
    ] = False
    mode: Annotated[
        Mode,
        Field(
            strict=False,
            description="`answer`: an answer with citations. `retrieve`: only the chunks, "
            "without calling the model.",
        ),
    ] = Mode.ANSWER
    surplus_pictures: Annotated[
        Surplus,
        Field(
            strict=False,
            description="What to do with more pictures than the model takes: `contact_sheet` "
            "lays them out on one picture, `captions` shows their texts in the knowledge base, "
            "`leave_out` omits them. The answer says what was done.",
        ),
    ] = Surplus.CONTACT_SHEET
    system: Annotated[
        str | None,
        Field(
            description="Instructions for the style of the answer; the rules of citation "
            "precede them."
        ),
    ] = None
    temperature: Annotated[float, Field(ge=0, le=1, description="Randomness, 0 to 1.")] = 0.1
    top_p: Annotated[float, Field(ge=0, le=1, description="Nucleus sampling, 0 to 1.")] = 0.9
    max_gen_len: Annotated[int, Field(ge=1, le=2048, description="Maximum tokens to generate.")] = (
        1024
    )
    language: Annotated[
        Language | None, Field(strict=False, description="Language to answer in.")
    ] = None
    stream: Annotated[
        bool,
        Field(
            description="Answer with server-sent events. The text is sent with its markers, and "
            "the last event lists faults in them."
        ),
    ] = False

    def request(
        self,
        image: ImageInput | None,
        given_filter: FilterIn | None,
        history: list[HistoryTurn],
        call_context: CallContext,
    ) -> RagRequest:
        """Return the use case's request, or raise a RequestError."""
        return RagRequest(
            knowledge_base=self.knowledge_base,
            question=self.question,
            image=image,
            filter=None if given_filter is None else given_filter.to_filter(),
            max_results=self.max_results,
            search=self.search,
            rerank=self.rerank,
            mode=self.mode,
            surplus=self.surplus_pictures,
            history=_turns(history),
            system=self.system,
            sampling=Sampling(self.temperature, self.top_p, self.max_gen_len),
            language=self.language,
            call_context=call_context,
        )


class RagIn(RagOptions):
    """A question, a picture, or both, for a knowledge base."""

    model_config = ConfigDict(extra="forbid", strict=True)

    image: Annotated[
        ImageIn | None,
        Field(
            description="A picture to search for or ask about: base64 text, a data URI, a URL "
            "or an S3 object."
        ),
    ] = None
    filter: Annotated[
        Filter,
        Field(
            description="Only documents whose metadata match this filter. It is combined by AND "
            "with the server's own filters for the caller."
        ),
    ] = None
    history: Annotated[
        History,
        Field(
            description="Earlier questions and answers, oldest first; the service does not "
            "store conversations."
        ),
    ] = []

    def to_request(self, call_context: CallContext) -> RagRequest:
        """Return the use case's request."""
        image = None if self.image is None else received(self.image, _IMAGE, call_context.caller)
        return self.request(image, self.filter, self.history, call_context)


class RagForm(RagOptions):
    """A question, a picture file, or both, for a knowledge base."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra=exemplified(RAG["question"]["value"] or {})
    )

    image: Annotated[FormFile | None, Field(description="A picture's file.")] = None
    filter: Annotated[
        Json[Filter] | None,
        _TEXT,
        Field(description="The same as in a JSON body, written as text."),
    ] = None
    history: Annotated[
        Json[History] | None,
        _TEXT,
        Field(description="The same as in a JSON body, written as text."),
    ] = None

    def to_request(self, call_context: CallContext) -> RagRequest:
        """Return the use case's request."""
        file = self.image
        image = None if file is None else ReceivedImage(file.data, file.content_type, _IMAGE)
        return self.request(image, self.filter, self.history or [], call_context)


def _turns(history: list[HistoryTurn]) -> tuple[Turn[ImageInput], ...]:
    """Return the earlier turns, from a user's to an assistant's. Raises a RequestError."""
    turns: list[Turn[ImageInput]] = [Turn(Role(turn.role), turn.content) for turn in history]
    if not turns:
        return ()
    if turns[-1].role is not Role.ASSISTANT:
        raise InvalidParameterError.at("history", "ends with an answer of the assistant")
    joined = alternating([*turns, Turn(Role.USER, "?")], "history")
    return joined[:-1]
