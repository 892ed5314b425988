"""Tokens of an OIDC issuer on a socket of its own, and forged ones."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Response
from joserfc import jws
from joserfc.jwk import OctKey, RSAKey

from app.adapters.access.issuer import Issuer
from app.adapters.access.tokens import ALGORITHMS, IssuerKeys, TokenAuthenticator
from app.domain.access import Scope
from app.domain.errors import CredentialsInvalidError, IdentityProviderError
from app.settings import Settings
from tests.support.clients.problem import problem
from tests.support.fakes.knowledge_base import NAME, chunk, rag_rig
from tests.support.servers.identity_provider import EC, RSA, Provider, identity_provider
from tests.support.servers.uvicorn import serving
from tests.support.service.access import add_key, bearer
from tests.support.service.application import Rig

ROTATED = RSAKey.generate_key(2048, {"kid": "two"})
AUDIENCE = "llama-vision"
ALG = "WyJhbGciXQ.e30.e30"
"""Its header is the list ``["alg"]``."""
ASKED = {"prompt": "Hi"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture
def client(provider) -> Iterator[httpx.Client]:
    settings = Settings(_env_file=None, oidc_issuer=provider.url, oidc_audience=AUDIENCE)
    with Rig(settings=settings).client() as opened:
        yield opened


def token(provider: Provider, key: Any = RSA, alg: str = "RS256", **changes: Any) -> str:
    claims = {
        "iss": provider.url,
        "aud": AUDIENCE,
        "sub": "ann",
        "exp": int(time.time()) + 300,
        "scope": "generate openid",
        **changes,
    }
    present = {name: value for name, value in claims.items() if value is not None}
    header = {"alg": alg, "kid": key.kid}
    return jws.serialize_compact(header, json.dumps(present), key, algorithms=[alg])


def ask(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/v1/generate", json=ASKED, headers=bearer(text))


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256")])
def test_a_valid_token_is_accepted(client, provider, key, alg):
    assert ask(client, token(provider, key, alg)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": 1}, "credentials_expired"),
        ({"exp": None}, "credentials_invalid"),
        ({"iss": "https://evil.example"}, "credentials_invalid"),
        ({"iss": None}, "credentials_invalid"),
        ({"aud": "another-service"}, "credentials_invalid"),
        ({"aud": None}, "credentials_invalid"),
        ({"sub": None}, "credentials_invalid"),
        ({"nbf": 9_999_999_999}, "credentials_invalid"),
        ({"sub": ""}, "credentials_invalid"),
        ({"sub": 5}, "credentials_invalid"),
        # Names that a log or a database could not store.
        ({"sub": "\ud800"}, "credentials_invalid"),
        ({"sub": "a\0b"}, "credentials_invalid"),
        ({"sub": "x" * 256}, "credentials_invalid"),
    ],
)
def test_a_token_with_an_invalid_or_missing_claim_is_refused(client, provider, changes, code):
    problem(ask(client, token(provider, **changes)), 401, code)


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


DEEP = "[" * 3000 + "]" * 3000


def signed(payload: str) -> str:
    return str(jws.serialize_compact({"alg": "RS256", "kid": "one"}, payload.encode(), RSA))


@pytest.mark.parametrize(
    "payload",
    [
        DEEP,
        f'{{"sub": {DEEP}}}',
        "[]",
        "5",
        '"text"',
        '{"sub": 5, "exp": 1e400}',
        f'{{"exp": {"9" * 5000}}}',
        '{"exp": {}, "aud": [[]], "iss": [], "sub": ["a"]}',
    ],
    ids=lambda payload: repr(payload[:20]),
)
def test_a_valid_signature_without_valid_claims_is_refused(client, payload):
    answer = client.post("/v1/generate", json=ASKED, headers=bearer(signed(payload)))

    problem(answer, 401, "credentials_invalid")


def test_a_subject_that_is_not_a_string_is_refused(client, provider):
    for subject in (5, ["ann"], {"name": "ann"}, True):
        problem(ask(client, token(provider, sub=subject)), 401, "credentials_invalid")


@pytest.mark.parametrize(
    "answer",
    [DEEP, "[]", '{"keys": 5}', '{"keys": {}}', "{" * 2_000_000],
    ids=lambda answer: answer[:12],
)
def test_unusable_keys_of_an_issuer_are_a_server_error(answer):
    app = FastAPI()

    @app.get("/keys")
    async def keys() -> Response:
        return Response(answer)

    with serving(app) as url:
        settings = Settings(
            _env_file=None, oidc_issuer=url, oidc_audience=AUDIENCE, oidc_jwks_url=f"{url}/keys"
        )
        with Rig(settings=settings).client() as client:
            told = client.post("/v1/generate", json=ASKED, headers=bearer(signed("{}")))

    problem(told, 503, "identity_provider_unavailable")


def test_an_unsigned_token_is_refused(client, provider):
    _, claims, _ = token(provider).split(".")
    for alg in ("none", "None", "nOnE"):
        problem(
            ask(client, f"{part({'alg': alg, 'kid': 'one'})}.{claims}."), 401, "credentials_invalid"
        )


def test_a_published_key_used_as_a_shared_secret_is_refused(client, provider):
    _, claims, _ = token(provider).split(".")
    signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{claims}"
    for secret in (RSA.as_pem(private=False), json.dumps(RSA.as_dict(private=False)).encode()):
        digest = hmac.digest(secret, signed.encode(), "sha256")
        forged = f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
        problem(ask(client, forged), 401, "credentials_invalid")


def test_a_shared_secret_published_by_an_issuer_is_not_accepted(provider, client):
    secret = OctKey.generate_key(256, {"kid": "oct"})
    provider.keys.append(secret)

    problem(ask(client, token(provider, secret, "HS256")), 401, "credentials_invalid")
    assert all(not alg.startswith("HS") for alg in ALGORITHMS)


def test_another_signers_token_under_a_known_key_id_is_refused(client, provider):
    impostor = RSAKey.generate_key(2048, {"kid": "one"})

    problem(ask(client, token(provider, impostor)), 401, "credentials_invalid")


@pytest.mark.parametrize("text", ["a.b.c", "..", "e30.e30.e30", "a.b", f"{'x' * 9000}.y.z", ALG])
def test_text_that_is_not_a_token_is_refused(client, text):
    problem(ask(client, text), 401, "credentials_invalid")


def test_a_token_without_the_scope_is_refused(client, provider):
    for scope in ("openid", "", None, ["tasks"], 5, True, 1.5, {"generate": 1}, [["generate"]]):
        problem(ask(client, token(provider, scope=scope)), 403, "scope_missing")
    assert ask(client, token(provider, scope=["generate"])).status_code == 200


def test_a_claims_values_are_mapped_to_scopes(provider):
    settings = Settings(
        _env_file=None,
        oidc_issuer=provider.url,
        oidc_audience=AUDIENCE,
        oidc_jwks_url=f"{provider.url}/keys",
        oidc_scope_claim="groups",
        oidc_scope_names={"llm-users": "generate tasks"},
    )
    with Rig(settings=settings).client() as client:
        assert ask(client, token(provider, groups=["llm-users"])).status_code == 200
        # Once names are mapped, others mean nothing.
        assert ask(client, token(provider, groups=["generate"])).status_code == 403


def test_keys_and_tokens_can_be_used_side_by_side(provider, tmp_path):
    text = add_key(tmp_path / "keys.json", Scope.GENERATE)
    settings = Settings(
        _env_file=None,
        oidc_issuer=provider.url,
        oidc_audience=AUDIENCE,
        keys_file=tmp_path / "keys.json",
    )
    with Rig(settings=settings).client() as client:
        assert ask(client, text).status_code == 200
        assert ask(client, token(provider)).status_code == 200
        problem(client.post("/v1/generate", json=ASKED), 401, "credentials_missing")


def test_an_unreachable_issuer_is_a_server_error(provider, client):
    provider.broken = True

    problem(ask(client, token(provider)), 503, "identity_provider_unavailable")


def test_keys_fetched_after_a_deadline_serve_the_next_request(provider, client):
    provider.delay = 1
    hurried = {**bearer(token(provider)), "x-request-timeout": "0.3"}
    problem(client.post("/v1/generate", json=ASKED, headers=hurried), 504, "deadline_exceeded")

    assert ask(client, token(provider)).status_code == 200
    assert provider.asked == 1


def test_a_pending_key_fetch_does_not_delay_shutdown(provider):
    provider.delay = 4
    settings = Settings(_env_file=None, oidc_issuer=provider.url, oidc_audience=AUDIENCE)
    with Rig(settings=settings).client() as client:
        hurried = {**bearer(token(provider)), "x-request-timeout": "0.3"}
        problem(client.post("/v1/generate", json=ASKED, headers=hurried), 504, "deadline_exceeded")
        left = time.monotonic()

    assert time.monotonic() - left < 3


async def authenticator(provider: Provider, client: httpx.AsyncClient, **ages: Any) -> Any:
    issuer = Issuer(provider.url, AUDIENCE)
    return TokenAuthenticator(issuer, IssuerKeys(client, issuer, **ages))


async def test_a_new_key_is_fetched_when_a_token_names_it(provider):
    async with httpx.AsyncClient() as http:
        tokens = await authenticator(provider, http, min_age=0)
        await tokens.authenticate(token(provider))
        provider.keys = [ROTATED]
        await tokens.authenticate(token(provider, ROTATED))

        assert provider.asked == 2
        with pytest.raises(CredentialsInvalidError):
            await tokens.authenticate(token(provider))


@pytest.mark.parametrize(
    "odd",
    [
        {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA", "kid": "curve"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "off the curve"},
        {"kty": "RSA", "n": "AQAB", "kid": "half"},
        {"kty": ["RSA"]},
        "no key",
    ],
)
async def test_an_unreadable_key_does_not_invalidate_the_others(provider, odd):
    provider.odd.append(odd)
    async with httpx.AsyncClient() as http:
        tokens = await authenticator(provider, http)
        caller = await tokens.authenticate(token(provider))

    assert caller.id == "sub:ann"


async def test_cached_keys_are_used_while_the_issuer_publishes_no_readable_one(provider):
    async with httpx.AsyncClient() as http:
        tokens = await authenticator(provider, http, max_age=0)
        await tokens.authenticate(token(provider))
        provider.keys, provider.odd = [], ["no key"]
        caller = await tokens.authenticate(token(provider))

    assert caller.id == "sub:ann"


async def test_a_withdrawn_key_is_refused_once_the_cached_keys_expire(provider):
    async with httpx.AsyncClient() as http:
        tokens = await authenticator(provider, http, max_age=0)
        await tokens.authenticate(token(provider))
        provider.keys = [ROTATED]

        with pytest.raises(CredentialsInvalidError):
            await tokens.authenticate(token(provider))


async def test_unknown_key_ids_do_not_trigger_a_fetch_each_time(provider):
    async with httpx.AsyncClient() as http:
        tokens = await authenticator(provider, http)
        for name in "abcdef":
            made_up = RSAKey.generate_key(2048, {"kid": name})
            with pytest.raises(CredentialsInvalidError):
                await tokens.authenticate(token(provider, made_up))

    assert provider.asked == 1


async def test_cached_keys_are_used_while_the_issuer_is_unreachable(provider):
    async with httpx.AsyncClient() as http:
        tokens = await authenticator(provider, http, max_age=0)
        await tokens.authenticate(token(provider))
        provider.broken = True
        caller = await tokens.authenticate(token(provider))

    assert caller.id == "sub:ann"


async def test_metadata_naming_another_issuer_is_rejected(provider):
    async with httpx.AsyncClient() as http:
        issuer = Issuer(provider.url + "/", AUDIENCE)
        with pytest.raises(IdentityProviderError):
            await TokenAuthenticator(issuer, IssuerKeys(http, issuer)).authenticate(token(provider))


def test_an_issuer_without_an_audience_stops_the_start():
    with pytest.raises(ValueError, match="oidc_audience: is missing"):
        Settings(_env_file=None, oidc_issuer="https://a.org")


def test_a_claim_restricts_which_documents_its_holder_sees(provider):
    theirs = chunk("Theirs.", "theirs.md", metadata={"tenant_id": "other"})
    ours = chunk("Ours.", "ours.md", metadata={"tenant_id": "acme"})
    rig = rag_rig(
        theirs,
        ours,
        settings={
            "oidc_issuer": provider.url,
            "oidc_audience": AUDIENCE,
            "oidc_filter_claims": {"tenant": "tenant_id"},
        },
    )
    question = {"knowledge_base": NAME, "question": "Whose?", "mode": "retrieve"}
    with rig.client() as client:

        def asked(**claims: Any) -> httpx.Response:
            text = token(provider, scope="rag", **claims)
            return client.post("/v1/rag/query", json=question, headers=bearer(text))

        one, several = asked(tenant="acme"), asked(tenant=["acme", "third"])
        without = asked()

    for answer in (one, several):
        assert [used["document"] for used in answer.json()["used"]] == ["ours.md"]
    assert (without.status_code, without.json()["code"]) == (401, "credentials_invalid")
