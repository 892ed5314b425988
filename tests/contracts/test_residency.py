"""Residency: every hop's location as AWS reports it, at the start and while running."""

import asyncio
import re
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from app.adapters.aws_session import aws_session
from app.adapters.bedrock.control_planes import open_control_planes
from app.adapters.bedrock.locations import Locations
from app.domain.control_plane import UnknownToAwsError
from app.domain.errors import ResidencyError
from app.domain.generation import Target
from app.domain.image import ReceivedImage, S3Image
from app.domain.model import Dialect, identify
from app.domain.ports import Arrival
from app.domain.residency import HERE, Location, Verdict, judged, notes, region_of
from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.services.residency.models import ResidentBuckets
from app.settings import Settings, SettingsError
from app.telemetry.metrics import Metrics
from app.wiring.residency import open_residency, open_sentinel
from app.wiring.residency_wrappers import resident_jobs
from tests.support.servers.identity_provider import identity_provider
from tests.support.servers.s3 import make_bucket, s3_client
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

MODEL = "meta.llama3-2-11b-instruct-v1:0"
PROFILE = f"us.{MODEL}"
UNITED_STATES = "us-east-1,us-east-2,us-west-2"


def arn(region: str, rest: str) -> str:
    return f"arn:aws:bedrock:{region}:123456789012:{rest}"


def model_arn(region: str) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{MODEL}"


PROFILES = {
    f"eu.{MODEL}": (model_arn("eu-central-1"), model_arn("eu-west-3")),
    f"global.{MODEL}": (f"arn:aws:bedrock:::foundation-model/{MODEL}",),
    "ours": (model_arn("us-east-2"),),
    "empty": (),
}


@pytest.fixture(scope="module")
def control(tmp_path_factory) -> Iterator[str]:
    config = EmulatorConfig(
        region="us-west-2",
        inference_profiles=PROFILES,
        guardrail_profiles={"strict": "us.guardrail.v1:0"},
        knowledge_bases={"ABCDEFGHIJ": str(tmp_path_factory.mktemp("knowledge"))},
    )
    with serving(create_emulator(config)) as url:
        yield url


def settings(url: str, **more: object) -> Settings:
    fields = {"endpoint_url": url, "model_id": PROFILE, "image_s3_endpoint_url": url, **more}
    return Settings(_env_file=None, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model_id", "regions"),
    [
        (MODEL, {"us-west-2"}),
        (PROFILE, {"us-west-2", "us-east-1", "us-east-2"}),
        (arn("us-west-2", f"inference-profile/{PROFILE}"), {"us-west-2", "us-east-1", "us-east-2"}),
        (f"eu.{MODEL}", {"us-west-2", "eu-central-1", "eu-west-3"}),
        (arn("us-west-2", "application-inference-profile/ours"), {"us-west-2", "us-east-2"}),
        (arn("us-west-2", "imported-model/abc123"), {"us-west-2"}),
        (arn("us-west-2", "provisioned-model/abc123"), {"us-west-2"}),
        (f"global.{MODEL}", set()),
        (arn("us-west-2", "application-inference-profile/empty"), set()),
    ],
)
async def test_a_models_location_comes_from_the_control_plane_and_not_from_its_prefix(
    control, model_id, regions
):
    target = Target("us-west-2", model_id, Dialect.INVOKE)
    async with open_control_planes(aws_session(), control) as plane:
        location = await Locations(plane).model(target, identify(model_id))

    assert set(location.regions) == regions
    assert location.source.startswith("Get")


async def test_a_profile_unknown_to_aws_is_reported_as_such(control):
    target = Target("us-west-2", f"apac.{MODEL}", Dialect.INVOKE)
    async with open_control_planes(aws_session(), control) as plane:
        with pytest.raises(UnknownToAwsError, match="was not found"):
            await Locations(plane).model(target, identify(target.model_id))


async def test_guardrails_and_knowledge_bases_are_located_by_the_answers_of_aws(control):
    async with open_control_planes(aws_session(), control) as plane:
        locations = Locations(plane)
        plain = await locations.guardrail("us-west-2", "emulator", ())
        crossing = await locations.guardrail("us-west-2", "strict", ())
        declared = await locations.guardrail("us-west-2", "strict", ("us-east-1",))
        base = await locations.knowledge_base("us-west-2", "ABCDEFGHIJ")

    assert plain.regions == ("us-west-2",)
    assert crossing.regions == ()
    assert declared.regions == ("us-west-2", "us-east-1")
    assert base == Location(("us-west-2",), "GetKnowledgeBase")


@pytest.mark.parametrize(
    ("regions", "allowed", "verdict"),
    [
        (("us-east-1",), ("us-east-1",), Verdict.INSIDE),
        (("us-east-1", "us-east-2"), ("us-east-1",), Verdict.OUTSIDE),
        ((HERE,), ("us-east-1",), Verdict.INSIDE),
        ((), ("us-east-1",), Verdict.UNKNOWN),
        (("us-east-1", ""), ("us-east-1",), Verdict.UNKNOWN),
        (("us-east-1",), (), Verdict.OPEN),
    ],
)
def test_a_location_is_inside_only_if_all_its_regions_are(regions, allowed, verdict):
    assert judged(Location(regions, "test"), allowed) is verdict


@pytest.mark.parametrize(
    ("name", "region"),
    [
        (model_arn("us-east-1"), "us-east-1"),
        ("arn:aws:bedrock:::foundation-model/x", ""),
        ("x", ""),
    ],
)
def test_an_arn_names_its_region_or_none(name, region):
    assert region_of(name) == region


def test_metas_licence_and_the_models_regions_are_mentioned_where_they_matter():
    offered = {"Llama": ("us-east-1",)}

    assert notes(("us-east-1",), offered) == ()
    european = notes(("eu-central-1",), offered)
    assert "European Union" in european[0]
    assert "us-east-1 alone" in european[1]
    assert notes((), offered) == ()


@pytest.fixture(scope="module")
def buckets(s3_url: str) -> str:
    client = s3_client(s3_url)
    make_bucket(client, "inside")
    s3_client(s3_url, "eu-central-1").create_bucket(
        Bucket="outside", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    return s3_url


@pytest.mark.parametrize(
    ("more", "hop", "source"),
    [
        ({"model_id": f"eu.{MODEL}"}, f"model us-west-2/eu.{MODEL}", "GetInferenceProfile"),
        ({"model_id": f"global.{MODEL}"}, f"model us-west-2/global.{MODEL}", "lists no regions"),
        ({"fallbacks": [{"model_id": f"eu.{MODEL}"}]}, f"model us-west-2/eu.{MODEL}", "eu-west-3"),
        ({"successors": [{"model_id": f"eu.{MODEL}"}]}, f"model us-west-2/eu.{MODEL}", "eu-west-3"),
        ({"model_id": f"jp.{MODEL}"}, f"model us-west-2/jp.{MODEL}", "was not found"),
        ({"image_s3_buckets": ("outside/pictures",)}, "bucket outside", "GetBucketLocation"),
        ({"image_s3_buckets": ("nowhere",)}, "bucket nowhere", "there is no bucket"),
        (
            {"guardrail_kind": "apply", "guardrail_id": "strict"},
            "guardrail strict",
            "AWS does not return the regions",
        ),
        ({"guardrail_kind": "apply", "guardrail_id": "nobodys"}, "guardrail nobodys", "not found"),
        (
            {"guardrail_kind": "checks", "guardrail_region": "eu-central-1"},
            "guardrail checks",
            "the region that checks are called in",
        ),
        (
            {"knowledge_bases": {"manuals": {"id": "ZZZZZZZZZZ"}}},
            "knowledge-base ZZZZZZZZZZ",
            "not found",
        ),
        ({"files_store": "s3", "files_bucket": "outside/files"}, "bucket outside", "eu-central-1"),
        ({"audit_heads_bucket": "outside"}, "bucket outside", "eu-central-1"),
        (
            {
                "batch_jobs_location": "s3://outside/batches/",
                "batch_jobs_role": "arn:aws:iam::123456789012:role/batch",
            },
            "bucket outside",
            "eu-central-1",
        ),
        (
            {"encryption_kms_key": "arn:aws:kms:eu-central-1:1:key/2"},
            "key kms",
            "the key's ARN",
        ),
        (
            {"usage_store": "redis", "redis_url": "rediss://cache.example:6379/0"},
            "store redis",
            "not declared",
        ),
        (
            {
                "usage_store": "postgres",
                "postgres_url": "postgresql://db.example/d?sslmode=verify-full",
                "residency_declared": {"store postgres": "eu-central-1"},
            },
            "store postgres",
            "declared",
        ),
        (
            {
                "dialect": "openai",
                "openai_url": "https://vllm.example/v1",
                "openai_model": "llama",
            },
            "model vllm.example/llama",
            "not declared",
        ),
    ],
)
async def test_a_hop_outside_stops_the_start_and_is_named(control, buckets, more, hop, source):
    configured = settings(
        control, **{"residency": UNITED_STATES, "image_s3_endpoint_url": buckets, **more}
    )
    with pytest.raises(SettingsError) as raised:
        async with open_residency(aws_session(), configured, Metrics()):
            pass

    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"LLAMA_VISION_RESIDENCY: {hop}: ")
    assert source in line


@pytest.mark.parametrize(
    ("more", "hop"),
    [
        (
            {"webhook_hosts": "hooks.example:8443", "webhook_secret": "s" * 24},
            "webhook hooks.example:8443",
        ),
        ({"image_url_hosts": "*.pictures.example"}, "source *.pictures.example"),
        (
            {
                "oidc_issuer": "https://login.example/",
                "oidc_audience": "us",
                "oidc_jwks_url": "https://login.example/keys",
            },
            "issuer login.example",
        ),
        ({"files_endpoint_url": "https://vpce-1.example"}, "endpoint vpce-1.example"),
    ],
)
async def test_a_host_unknown_to_aws_is_a_hop_that_must_be_declared(control, more, hop):
    configured = settings(control, residency=UNITED_STATES, **more)
    with pytest.raises(SettingsError, match=re.escape(f"{hop}: unknown")):
        async with open_residency(aws_session(), configured, Metrics()):
            pass

    declared = configured.model_copy(update={"residency_declared": {hop: ("us-east-1",)}})
    async with open_residency(aws_session(), declared, Metrics()) as sentinel:
        assert sentinel.reports[hop].verdict is Verdict.INSIDE


async def test_traces_to_another_machine_are_a_hop_that_must_be_declared(control, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example")
    configured = settings(control, residency=UNITED_STATES, otlp_metrics=True)
    with pytest.raises(SettingsError, match="telemetry otlp: unknown"):
        async with open_residency(aws_session(), configured, Metrics()):
            pass


async def test_the_endpoint_variable_of_traces_or_metrics_alone_is_a_hop(control, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example/v1/traces")
    configured = settings(control, residency=UNITED_STATES, otlp_metrics=True, traces=True)
    with pytest.raises(SettingsError) as raised:
        async with open_residency(aws_session(), configured, Metrics()):
            pass
    (line,) = str(raised.value).splitlines()
    assert "telemetry otlp traces: unknown" in line

    hop = "telemetry otlp traces"
    declared = configured.model_copy(update={"residency_declared": {hop: ("us-east-1",)}})
    async with open_residency(aws_session(), declared, Metrics()) as sentinel:
        assert sentinel.reports[hop].location == Location(("us-east-1",), "declared")
        assert sentinel.reports["telemetry otlp"].location.regions == (HERE,)


async def test_a_jwks_host_named_only_by_the_issuer_is_a_hop(control):
    with identity_provider() as provider:
        configured = settings(
            control, residency=UNITED_STATES, oidc_issuer=provider.url, oidc_audience="us"
        )
        async with open_residency(aws_session(), configured, Metrics()) as sentinel:
            assert sentinel.reports["issuer keys"].location.regions == (HERE,)

            provider.keys_url = "https://keys.example/jwks"
            await sentinel.survey()
            (moved,) = sentinel.violations()
        declared = configured.model_copy(
            update={"residency_declared": {"issuer keys.example": ("us-east-1",)}}
        )
        async with open_residency(aws_session(), declared, Metrics()) as sentinel:
            assert sentinel.violations() == ()

    assert str(moved).startswith("issuer keys: unknown, no region (keys.example, by the issuer's")
    with pytest.raises(
        SettingsError, match=r"issuer keys: unknown.*configuration can't be fetched"
    ):
        async with open_residency(aws_session(), configured, Metrics()):
            pass


async def test_a_hop_inside_and_a_store_on_this_machine_allow_the_start(control, buckets):
    configured = settings(
        control,
        residency=UNITED_STATES,
        image_s3_endpoint_url=buckets,
        image_s3_buckets=("inside",),
        guardrail_kind="apply",
        guardrail_id="strict",
        residency_declared={"guardrail strict": "us-east-1,us-east-2"},
        knowledge_bases={"manuals": {"id": "ABCDEFGHIJ"}},
        usage_store="redis",
        redis_url="redis://127.0.0.1:6379/0",
    )
    async with open_residency(aws_session(), configured, Metrics()) as sentinel:
        reports = list(sentinel.reports.values())

    assert [report.verdict for report in reports] == [Verdict.INSIDE] * 6
    assert reports[-1].location.regions == (HERE,)


async def test_in_report_mode_the_same_hop_is_only_reported(control):
    configured = settings(
        control, model_id=f"eu.{MODEL}", residency=UNITED_STATES, residency_mode="report"
    )
    async with open_residency(aws_session(), configured, Metrics()) as sentinel:
        (report,) = sentinel.violations()

    assert report.verdict is Verdict.OUTSIDE


async def test_a_control_plane_unreachable_at_the_start_fails_closed_and_is_waited_for_later():
    with serving(create_emulator(EmulatorConfig(region="us-west-2"))) as url:
        configured = settings(url, residency=UNITED_STATES)
        async with open_sentinel(aws_session(), configured, Metrics()) as sentinel:
            await sentinel.survey()
            assert sentinel.violations() == ()
            (model,) = (hop for hop in sentinel.reports if hop.startswith("model "))
            before = sentinel.reports[model]
            await asyncio.to_thread(install, url, "unavailable", "GetInferenceProfile")
            await sentinel.survey()
            assert sentinel.reports[model] == before

            sentinel.interval = 0
            await sentinel.survey()
            assert len(sentinel.violations()) == 1
        with pytest.raises(SettingsError, match="AWS gave no answer"):
            async with open_residency(aws_session(), configured, Metrics()):
                pass


def test_a_target_that_moves_outside_is_skipped_and_the_next_one_answers(tmp_path):
    first, second = (f"moving-{uuid.uuid4().hex[:8]}", f"staying-{uuid.uuid4().hex[:8]}")
    config = EmulatorConfig(
        region="us-west-2",
        inference_profiles={first: (model_arn("us-east-1"),), second: (model_arn("us-east-2"),)},
    )
    with serving(create_emulator(config)) as url:
        ids = [
            arn("us-west-2", f"application-inference-profile/{name}") for name in (first, second)
        ]
        configured = settings(
            url,
            model_id=ids[0],
            fallbacks=[{"model_id": ids[1]}],
            residency=UNITED_STATES,
            residency_interval=0.5,  # Long enough to survive one failed look-up.
            audit_store="files",
            data_directory=tmp_path,
        )
        rig = Rig(model=None, settings=configured)
        with serving(rig.app()) as service, httpx.Client(base_url=service, timeout=30) as http:
            asked = http.post("/v1/generate", json={"prompt": "Why?"}).json()
            assert asked["target"]["model_id"] == ids[0]
            move(url, first, "eu-central-1")
            until_outside(http, 1)

            moved = http.post("/v1/generate", json={"prompt": "Why?"}).json()
            assert moved["target"]["model_id"] == ids[1]
            assert (
                f"model us-west-2/{ids[0]}: outside"
                in http.get("/readyz").json()["outside_residency"][0]
            )
            shown = http.get("/v1/residency").json()
            assert [hop["verdict"] for hop in shown["hops"]] == ["outside", "inside", "inside"]
            assert shown["hops"][0]["regions"] == ["us-west-2", "eu-central-1"]
            metrics = http.get("/metrics").text
            assert f'violations{{hop="model us-west-2/{ids[0]}"}} 1.0' in metrics

            move(url, second, "eu-central-1")
            until_outside(http, 2)
            refused = http.post("/v1/generate", json={"prompt": "Why?"})
            assert (refused.status_code, refused.json()["code"]) == (503, "residency_violation")

            move(url, second, "us-east-1")
            until_outside(http, 1)
            assert http.post("/v1/generate", json={"prompt": "Why?"}).status_code == 200

    # Written to disk when the service stops, if not before.
    written = "".join(file.read_text() for file in (tmp_path / "audit").glob("*.jsonl"))
    notes = [line for line in written.splitlines() if '"residency_changed"' in line]
    assert len(notes) == 3, notes
    assert [ids[1] in note for note in notes] == [False, True, True]
    assert ['"verdict":"outside"' in note for note in notes] == [True, True, False]


def install(url: str, fault: str, operation: str) -> None:
    body = {"fault": fault, "operation": operation}
    httpx.post(f"{url}/_emulator/faults", json=body).raise_for_status()


def move(url: str, profile: str, region: str) -> None:
    body = {"model_arns": [model_arn(region)]}
    httpx.post(f"{url}/_emulator/inference-profiles/{profile}", json=body).raise_for_status()


def until_outside(http: httpx.Client, count: int, verdict: str = "outside") -> None:
    for _ in range(500):
        hops = http.get("/v1/residency").json()["hops"]
        if sum(hop["verdict"] == verdict for hop in hops) == count:
            return
        time.sleep(0.02)
    raise AssertionError(f"never were {count} hops {verdict}")


async def test_a_bucket_that_moves_outside_is_no_longer_read(control, buckets):
    configured = settings(
        control,
        residency=UNITED_STATES,
        image_s3_endpoint_url=buckets,
        image_s3_buckets=("inside",),
    )
    async with open_sentinel(aws_session(), configured, Metrics()) as sentinel:
        await sentinel.survey()
        source = ResidentBuckets(FakeObjects(), sentinel)
        inside = await source.fetch(S3Image("inside", "a.png"), NoRoomNeeded())

        sentinel.allowed = ("us-east-1",)
        await sentinel.survey()
        with pytest.raises(ResidencyError, match="bucket inside: outside, us-west-2"):
            await source.fetch(S3Image("inside", "a.png"), NoRoomNeeded())

    assert inside.data == b"inside"


def test_a_resource_no_longer_known_to_be_inside_is_not_called(tmp_path, s3_url):
    make_bucket(s3_client(s3_url), "leaving")
    config = EmulatorConfig(region="us-west-2", knowledge_bases={"ABCDEFGHIJ": str(tmp_path)})
    with serving(create_emulator(config)) as url:
        configured = settings(
            url,
            residency=UNITED_STATES,
            residency_interval=0.05,
            image_s3_endpoint_url=s3_url,
            files_store="s3",
            files_bucket="leaving/files",
            files_endpoint_url=s3_url,
            guardrail_kind="apply",
            guardrail_id="emulator",
            knowledge_bases={"manuals": {"id": "ABCDEFGHIJ"}},
            retrieval_endpoint_url=url,
        )
        rig = Rig(model=None, settings=configured)
        with serving(rig.app()) as service, httpx.Client(base_url=service, timeout=30) as http:
            file = {"file": ("a.jsonl", b"{}")}
            asked = {"knowledge_base": "manuals", "question": "?", "mode": "retrieve"}

            def ask() -> list[httpx.Response]:
                return [
                    http.post("/v1/generate", json={"prompt": "Why?"}),
                    http.post("/v1/rag/query", json=asked),
                    http.post("/v1/files", files=file, data={"purpose": "batch"}),
                ]

            before = ask()
            for operation in ("GetGuardrail", "GetKnowledgeBase"):
                install(url, "unavailable", operation)
            move_bucket(s3_url, "leaving")
            until_outside(http, 2, "unknown")
            until_outside(http, 1)
            after = ask()

    assert [answer.status_code for answer in before] == [200] * 3
    assert [answer.json().get("code") for answer in after[:2]] == [
        "guardrail_unavailable", "residency_violation",
    ]  # fmt: skip
    assert "bucket leaving: outside, eu-central-1" in after[2].json()["error"]["message"]


async def test_no_batch_job_is_started_while_its_bucket_or_model_is_outside(control, buckets):
    configured = settings(
        control,
        residency=UNITED_STATES,
        image_s3_endpoint_url=buckets,
        batch_jobs_location="s3://inside/batches/",
        batch_jobs_role="arn:aws:iam::123456789012:role/batch",
    )
    inner: Any = FakeJobs()
    async with open_sentinel(aws_session(), configured, Metrics()) as sentinel:
        await sentinel.survey()
        jobs = resident_jobs(inner, configured, sentinel)
        assert jobs is not None
        job: Any = None
        assert await jobs.start(job) == "job"

        sentinel.allowed = ("us-west-2",)
        await sentinel.survey()
        with pytest.raises(ResidencyError, match=f"model us-west-2/{PROFILE}: outside"):
            await jobs.start(job)
        sentinel.allowed = ("us-east-1",)
        await sentinel.survey()
        with pytest.raises(ResidencyError, match="bucket inside: outside"):
            await jobs.write(job, rows())


async def rows() -> AsyncIterator[Any]:
    yield None


class FakeJobs:
    async def start(self, job: object) -> str:
        return "job"


def move_bucket(url: str, bucket: str) -> None:
    """Delete the bucket with its content and create it in another region."""
    client = s3_client(url)
    for version in client.list_object_versions(Bucket=bucket).get("Versions", ()):
        client.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    client.delete_bucket(Bucket=bucket)
    s3_client(url, "eu-central-1").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )


class FakeObjects:
    async def fetch(self, image: S3Image, arrival: Arrival) -> ReceivedImage:
        return ReceivedImage(image.bucket.encode(), None)


class NoRoomNeeded:
    async def grow_to(self, size: int) -> None:
        pass


def test_the_serve_command_names_the_hop_outside_and_does_not_start(control, monkeypatch):
    monkeypatch.setenv("LLAMA_VISION_ENDPOINT_URL", control)
    monkeypatch.setenv("LLAMA_VISION_MODEL_ID", f"eu.{MODEL}")
    monkeypatch.setenv("LLAMA_VISION_RESIDENCY", UNITED_STATES)

    ran = subprocess.run(
        [sys.executable, "-m", "app", "serve"], capture_output=True, text=True, timeout=100
    )

    assert ran.returncode == 2
    assert f"LLAMA_VISION_RESIDENCY: model us-west-2/eu.{MODEL}: outside" in ran.stderr
