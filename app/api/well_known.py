"""GET /.well-known/jwks.json: the public keys that verify receipts and audit heads."""

from fastapi import APIRouter

from app.api.errors import problem
from app.api.routing.context import Context
from app.domain import errors
from app.services.deferred_model import DeferredModel

router = APIRouter(tags=["operations"])


class PublicKey(DeferredModel):
    """A JSON Web Key (RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


class KeySet(DeferredModel):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[PublicKey]


@router.get(
    "/.well-known/jwks.json",
    operation_id="keys",
    summary="Show the keys that verify receipts",
    description=(
        "Returns the current and the retired signing keys; none if the service signs nothing."
    ),
    response_description="The public keys.",
    responses=problem.responses(errors.InternalError),
)
async def keys(context: Context) -> KeySet:
    return KeySet.model_validate(context.services.receipts.signer.jwks())
