"""Our signatures equal the AWS SDK's."""

from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.bedrock.identity.sigv4 import SERVICE, SigV4

ascii_text = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
credentials = st.builds(
    ReadOnlyCredentials, ascii_text, st.text(min_size=1), st.none() | ascii_text, st.none()
)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
regions = st.sampled_from(["us-east-1", "us-gov-west-1", "ap-southeast-3"])
hosts = st.sampled_from(["bedrock-runtime.us-east-1.amazonaws.com", "127.0.0.1:4566"])
model_ids = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=60),
    st.just("us.meta.llama3-2-11b-instruct-v1:0"),
    st.from_regex(r"\Aarn:aws:bedrock:us-west-2:[0-9]{12}:imported-model/[a-z0-9~.]{1,12}\Z"),
)


def of_the_sdk(
    keys: ReadOnlyCredentials, region: str, url: str, body: bytes, method: str = "POST"
) -> AWSRequest:
    request = AWSRequest(method, url, data=body)
    botocore.auth.SigV4Auth(keys, SERVICE, region).add_auth(request)
    return request


@given(credentials, moments, regions, hosts, model_ids, st.lists(st.lists(st.binary()), min_size=1))
def test_every_call_is_signed_as_the_sdk_signs_it(keys, now, region, host, model_id, bodies):
    path = f"/model/{quote(model_id, safe='-._~')}/invoke"
    signer = SigV4(keys, region, host)
    for body in bodies:
        with patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: now):
            whole = b"".join(body)
            expected = of_the_sdk(keys, region, f"https://{host}{path}", whole).headers
        signed = {name.lower(): value for name, value in signer.sign_at(now, path, body).items()}

        assert signed == {name.lower(): value for name, value in expected.items()}


@given(credentials, moments, regions, hosts, model_ids)
def test_a_get_request_is_signed_as_the_sdk_signs_it(keys, now, region, host, model_id):
    path = f"/foundation-models/{quote(model_id, safe='-._~')}"
    with patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: now):
        expected = of_the_sdk(keys, region, f"https://{host}{path}", b"", "GET").headers
    signed = SigV4(keys, region, host).sign_at(now, path, (), "GET")

    assert {name.lower(): value for name, value in signed.items()} == {
        name.lower(): value for name, value in expected.items()
    }


@given(credentials, st.lists(moments, min_size=2, max_size=4))
def test_the_signing_key_belongs_to_the_day_of_the_signature(keys, moments):
    signer = SigV4(keys, "us-east-1", "bedrock.test")
    for now in moments:
        anew = SigV4(keys, "us-east-1", "bedrock.test")
        assert signer.sign_at(now, "/", ()) == anew.sign_at(now, "/", ())
