"""The model that is called: its Bedrock id, and its properties as data."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Language(StrEnum):
    """The eight languages that Meta supports for text, by ISO 639-1 code."""

    ENGLISH = "en"
    GERMAN = "de"
    FRENCH = "fr"
    ITALIAN = "it"
    PORTUGUESE = "pt"
    HINDI = "hi"
    SPANISH = "es"
    THAI = "th"

    @property
    def label(self) -> str:
        """The language's English name: ``German``."""
        return self.name.capitalize()


class Dialect(StrEnum):
    """The Bedrock operation that carries the request."""

    INVOKE = "invoke"
    """InvokeModel with the native Llama body (``prompt``, ``images``)."""
    CONVERSE = "converse"
    """Converse: Bedrock renders the template. For successors."""
    CHAT = "chat"
    """InvokeModel with OpenAI's chat completion body. For imported models."""
    OPENAI = "openai"
    """The same body, sent to an OpenAI-compatible server other than Bedrock."""

    @property
    def is_bedrock(self) -> bool:
        """Whether the dialect is for Bedrock, with AWS's credentials and regions."""
        return self is not Dialect.OPENAI


@dataclass(frozen=True, slots=True)
class BaseModel:
    """Facts about one set of weights. Sources: Meta's model card, AWS's user guide."""

    key: str
    """Short name, used in settings."""
    name: str
    foundation_model_id: str
    inference_profile_id: str
    regions: tuple[str, ...]
    """Regions from which the inference profile can be called."""
    released: int
    """Unix seconds."""
    end_of_life: date | None
    """The day on which Bedrock stops serving the foundation model; imported weights still run."""
    text_languages: tuple[Language, ...] = tuple(Language)
    image_languages: tuple[Language, ...] = (Language.ENGLISH,)
    context_window: int = 128_000
    """Tokens, input and output together."""
    max_gen_len: int = 2048
    """Maximum tokens to generate, InvokeModel's limit."""
    max_images: int = 1
    """Maximum images in one request."""
    max_image_side: int = 1120
    """Pixels."""
    max_image_bytes: int = 3_932_160
    """Bytes before base64 (3.75 MiB)."""


LLAMA_3_2_11B = BaseModel(
    key="llama3-2-11b",
    name="Llama 3.2 11B Vision Instruct",
    foundation_model_id="meta.llama3-2-11b-instruct-v1:0",
    inference_profile_id="us.meta.llama3-2-11b-instruct-v1:0",
    regions=("us-east-1", "us-east-2", "us-west-2"),
    released=1_727_222_400,  # 2024-09-25
    end_of_life=date(2026, 7, 7),
)
LLAMA_3_2_90B = BaseModel(
    key="llama3-2-90b",
    name="Llama 3.2 90B Vision Instruct",
    foundation_model_id="meta.llama3-2-90b-instruct-v1:0",
    inference_profile_id="us.meta.llama3-2-90b-instruct-v1:0",
    regions=("us-east-1", "us-east-2", "us-west-2"),
    released=1_727_222_400,  # 2024-09-25
    end_of_life=date(2026, 7, 7),
)
MODELS = (LLAMA_3_2_11B, LLAMA_3_2_90B)

# The id from an older AWS page, which Bedrock itself never accepted.
ALIASES = {"meta.llama3-2-11b-instruct-v10": "meta.llama3-2-11b-instruct-v1:0"}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The capabilities of a model through one dialect."""

    max_images: int = 1
    """Maximum pictures in one request."""
    structured_output: bool = False
    """Whether JSON, with or without a schema, is enforced while the answer is generated."""
    choice: bool = False
    """Whether an `app.domain.output.Choice` is enforced, too."""
    logprobs: bool = False
    """Whether the answer's tokens come with their log probabilities."""
    stop: bool = False
    """Whether stop texts are sent upstream, which then says which one ended the answer.

    The service cuts the answer itself in any case.
    """
    raw_prompt: bool = False
    """Whether a finished Llama prompt can be sent unchanged."""
    begun: bool = False
    """Whether the beginning of the answer can be sent for the model to continue."""
    context_window: int = 128_000
    """Tokens, input and output together."""


_NATIVE = Capabilities(raw_prompt=True, begun=True)
_CONVERSE = Capabilities()
_CHAT = Capabilities(max_images=3, structured_output=True, choice=True, logprobs=True)
# OpenAI's own body has no choice; vLLM's name for it changed from version to version.
_OPENAI = Capabilities(max_images=3, structured_output=True, logprobs=True)

# One row for each dialect and model. Source: AWS's user guide on imported models, 2026-11. Nothing
# documents whether stop texts end an imported model's answer, or whether it says so.
CAPABILITIES: Mapping[tuple[Dialect, str], Capabilities] = {
    (Dialect.INVOKE, "llama3-2-11b"): _NATIVE,
    (Dialect.INVOKE, "llama3-2-90b"): _NATIVE,
    (Dialect.CONVERSE, "llama3-2-11b"): _CONVERSE,
    (Dialect.CONVERSE, "llama3-2-90b"): _CONVERSE,
    (Dialect.CHAT, "llama3-2-11b"): _CHAT,
    (Dialect.CHAT, "llama3-2-90b"): _CHAT,
    (Dialect.OPENAI, "llama3-2-11b"): _OPENAI,
    (Dialect.OPENAI, "llama3-2-90b"): _OPENAI,
}


def capabilities(dialect: Dialect, base: BaseModel) -> Capabilities:
    """Return the capabilities of ``base`` through ``dialect``."""
    return CAPABILITIES[dialect, base.key]


def common(several: Iterable[Capabilities]) -> Capabilities:
    """Return the capabilities that all of ``several`` share, as a request may go to any target."""
    rows = list(several)
    return Capabilities(
        max_images=min(row.max_images for row in rows),
        structured_output=all(row.structured_output for row in rows),
        choice=all(row.choice for row in rows),
        logprobs=all(row.logprobs for row in rows),
        stop=all(row.stop for row in rows),
        raw_prompt=all(row.raw_prompt for row in rows),
        begun=all(row.begun for row in rows),
        context_window=min(row.context_window for row in rows),
    )


class ModelKind(StrEnum):
    """The kind of model to which a configured id refers."""

    FOUNDATION_MODEL = "foundation-model"
    INFERENCE_PROFILE = "inference-profile"
    APPLICATION_INFERENCE_PROFILE = "application-inference-profile"
    IMPORTED_MODEL = "imported-model"
    PROVISIONED_MODEL = "provisioned-model"


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The configured model."""

    id: str
    """The id as sent to Bedrock."""
    kind: ModelKind
    base: BaseModel
    region: str | None = None
    """The region that an ARN names."""
    alias: str | None = None
    """The configured name, if it was an alias of ``id``."""


@dataclass(frozen=True, slots=True)
class DialectChoice:
    """The dialect for a model, and the reason for it."""

    dialect: Dialect
    reason: str


def choose_dialect(identity: ModelIdentity) -> DialectChoice:
    """Return the dialect in which ``identity`` is documented to see pictures."""
    if identity.kind is ModelKind.IMPORTED_MODEL:
        return DialectChoice(
            Dialect.CHAT, "an imported model sees pictures in the chat completion body only"
        )
    own = (ModelKind.FOUNDATION_MODEL, ModelKind.INFERENCE_PROFILE)
    # Chosen by the id and not by the base, which for a successor only says whose limits it has.
    if identity.kind in own and any(_family(model) in identity.id for model in MODELS):
        return DialectChoice(
            Dialect.INVOKE, "a foundation model of Llama 3.2 takes Llama's own body"
        )
    return DialectChoice(
        Dialect.CONVERSE, "Converse is the one form that all other models of Bedrock share"
    )


def _family(model: BaseModel) -> str:
    return model.foundation_model_id.split(":")[0]


_ARN = re.compile(
    r"arn:aws[a-z-]*:bedrock:(?P<region>[a-z0-9-]+):\d{0,12}:(?P<kind>[a-z-]+)/(?P<name>[\w.:-]+)"
)
_MODEL_ID = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+-v\d+(:\d+)?(:[a-z0-9]+)?")
_PROFILE_ID = re.compile(rf"[a-z]{{2,6}}(-[a-z]+)?\.{_MODEL_ID.pattern}")


def identify(configured: str, base_key: str | None = None) -> ModelIdentity:
    """Return the model that ``configured`` names. Raises ValueError with the accepted forms.

    ``base_key`` names the weights behind an id that does not, such as the ARN of an imported model;
    without it such a model counts as the 11B.
    """
    model_id = ALIASES.get(configured, configured)
    alias = configured if model_id != configured else None
    kind, name, region = _kind(model_id)
    return ModelIdentity(model_id, kind, _base(kind, name, base_key), region, alias)


def _kind(model_id: str) -> tuple[ModelKind, str, str | None]:
    if match := _ARN.fullmatch(model_id):
        if match["kind"] not in list(ModelKind):
            accepted = ", ".join(ModelKind)
            raise ValueError(f"an ARN of a {match['kind']} can't be invoked; accepted: {accepted}")
        return ModelKind(match["kind"]), match["name"], match["region"]
    if _PROFILE_ID.fullmatch(model_id):
        return ModelKind.INFERENCE_PROFILE, model_id, None
    if _MODEL_ID.fullmatch(model_id):
        return ModelKind.FOUNDATION_MODEL, model_id, None
    raise ValueError(
        f"{model_id!r} is neither a foundation-model id (meta.llama3-2-11b-instruct-v1:0), an "
        "inference-profile id (us.meta.llama3-2-11b-instruct-v1:0), nor the ARN of an inference "
        "profile, an imported model or provisioned throughput"
    )


def _base(kind: ModelKind, name: str, base_key: str | None) -> BaseModel:
    if base_key is not None:
        return next(model for model in MODELS if model.key == base_key)
    if kind not in (ModelKind.FOUNDATION_MODEL, ModelKind.INFERENCE_PROFILE):
        return LLAMA_3_2_11B
    for model in MODELS:
        # A profile's id ends with the model's id, after its geography.
        if name.split(":")[0].endswith(_family(model)):
            return model
    raise ValueError(
        f"unknown model {name!r}; name its base model: {', '.join(m.key for m in MODELS)}"
    )
