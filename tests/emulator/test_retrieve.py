"""Knowledge bases from folders, queried through bedrock-agent-runtime."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from app.emulator.config import EmulatorConfig
from app.emulator.retrieval.filters import OPERATORS, checked, passes
from app.emulator.wire.errors import AwsError
from tests.support.emulator.bodies import DATA, plain, written
from tests.support.emulator.service_shapes import newest, violations
from tests.support.emulator.serving import Served, serving

KB = "KNOWLEDGE1"
ORCHARD = "Apples ripen in September.\n\nThe orchard sells cider at 4.50 a bottle."


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "orchard.md").write_text(ORCHARD)
    (folder / "trains.html").write_text(
        "<title>Trains</title><script>var cider</script><p>The train leaves at <b>nine</b>.</p>"
    )
    (folder / "signs").mkdir()
    (folder / "signs" / "exit.png").write_bytes(written("Emergency exit", size=(500, 120)))
    (folder / "red.png").write_bytes(plain())
    (folder / "blue.png").write_bytes(plain(colour="blue"))
    (folder / "broken.png").write_bytes(b"no picture")
    shutil.copy(DATA / "four-pages.pdf", folder / "four-pages.pdf")
    about = {"year": 2024, "kind": "farm", "tags": ["fruit", "drink"], "open": True}
    (folder / "orchard.md.metadata.json").write_text(json.dumps({"metadataAttributes": about}))
    typed = {
        "year": {"value": {"type": "NUMBER", "numberValue": 1999}, "includeForEmbedding": True}
    }
    (folder / "trains.html.metadata.json").write_text(json.dumps({"metadataAttributes": typed}))
    with serving(EmulatorConfig(knowledge_bases={KB: str(folder)})) as emulator:
        yield emulator


def retrieved(served: Served, text: str = "", **more: Any) -> dict[str, Any]:
    """Return the reply of Retrieve."""
    asked = {"knowledgeBaseId": KB, "retrievalQuery": {"text": text}, **more}
    reply: dict[str, Any] = served.client("bedrock-agent-runtime").retrieve(**asked)
    return reply


def found(served: Served, text: str, **search: Any) -> list[dict[str, Any]]:
    """Return the results of a search."""
    configuration = {"vectorSearchConfiguration": search} if search else {}
    more: Any = {"retrievalConfiguration": configuration} if configuration else {}
    results: list[dict[str, Any]] = retrieved(served, text, **more)["retrievalResults"]
    return results


def uris(results: list[dict[str, Any]]) -> list[str]:
    return [result["location"]["s3Location"]["uri"] for result in results]


def test_a_question_finds_the_document_that_contains_its_words(served: Served) -> None:
    (best, *_) = found(served, "What does cider cost?")
    assert best["content"] == {"type": "TEXT", "text": ORCHARD}
    assert best["location"]["s3Location"]["uri"] == f"s3://{KB.lower()}/orchard.md"
    assert 0 < best["score"] <= 1
    assert best["metadata"]["kind"] == "farm"
    assert best["metadata"]["x-amz-bedrock-kb-source-uri"].endswith("/orchard.md")


def test_a_page_of_a_pdf_is_found_with_its_number(served: Served) -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument(DATA / "four-pages.pdf")
    words = document[2].get_textpage().get_text_bounded().split()
    document.close()
    best = found(served, " ".join(words[:12]))[0]
    assert best["metadata"]["x-amz-bedrock-kb-source-file-mime-type"] == "application/pdf"
    assert best["metadata"]["x-amz-bedrock-kb-document-page-number"] == 3


def test_markup_and_scripts_are_not_searched(served: Served) -> None:
    (train,) = found(served, "When does the train leave?")
    assert "nine" in train["content"]["text"]
    assert "<b>" not in train["content"]["text"]
    assert "trains.html" not in " ".join(uris(found(served, "cider")))


def test_a_picture_is_found_by_the_words_in_it_and_sent_as_a_data_uri(served: Served) -> None:
    (sign,) = found(served, "Where is the emergency exit?")
    assert sign["content"]["type"] == "IMAGE"
    head, _, encoded = sign["content"]["byteContent"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(encoded) == written("Emergency exit", size=(500, 120))


def test_a_picture_finds_the_pictures_most_like_it(served: Served) -> None:
    encoded = base64.b64encode(plain((70, 50), "firebrick")).decode()
    query = {"type": "IMAGE", "image": {"format": "png", "inlineContent": encoded}}
    # Only the newest service model, not the pinned SDK, knows queries by picture.
    reply = httpx.post(f"{served.url}/knowledgebases/{KB}/retrieve", json={"retrievalQuery": query})
    operation = newest("bedrock-agent-runtime").operation_model("Retrieve")
    assert violations(operation.output_shape, reply.json()) == []
    results = reply.json()["retrievalResults"]
    assert uris(results)[0].endswith("/red.png")
    assert {result["content"]["type"] for result in results} == {"IMAGE"}
    scores = [result["score"] for result in results]
    assert scores == sorted(scores, reverse=True)


def test_pages_are_consecutive_and_bound_to_their_query(served: Served) -> None:
    search: Any = {"vectorSearchConfiguration": {"numberOfResults": 1}}
    asked = {"text": "train cider exit", "retrievalConfiguration": search}
    seen, token = [], None
    for _ in range(10):
        reply = retrieved(served, **asked, **({"nextToken": token} if token else {}))
        seen += uris(reply["retrievalResults"])
        token = reply.get("nextToken")
        if token is None:
            break
    assert len(seen) == len(set(seen)) == 3
    first = retrieved(served, **asked)["nextToken"]
    for wrong in (first, "nonsense"):
        with pytest.raises(ClientError, match="nextToken"):
            retrieved(served, "another question", nextToken=wrong)


def test_reranking_prefers_words_in_the_questions_order(served: Served) -> None:
    reranking = {
        "type": "BEDROCK_RERANKING_MODEL",
        "bedrockRerankingConfiguration": {
            "modelConfiguration": {
                "modelArn": "arn:aws:bedrock:us-east-1::foundation-model/amazon.rerank-v1:0"
            },
            "numberOfRerankedResults": 1,
        },
    }
    (best,) = found(served, "emergency exit for apples", rerankingConfiguration=reranking)
    assert uris([best])[0].endswith("exit.png")


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ({"equals": {"key": "kind", "value": "farm"}}, True),
        ({"equals": {"key": "open", "value": True}}, True),
        ({"equals": {"key": "open", "value": 1}}, False),
        ({"notEquals": {"key": "kind", "value": "farm"}}, False),
        ({"notEquals": {"key": "missing", "value": "farm"}}, True),
        ({"greaterThan": {"key": "year", "value": 2024}}, False),
        ({"greaterThanOrEquals": {"key": "year", "value": 2024}}, True),
        ({"lessThan": {"key": "year", "value": 2025}}, True),
        ({"lessThanOrEquals": {"key": "year", "value": 2023}}, False),
        ({"lessThan": {"key": "kind", "value": 5}}, False),
        ({"in": {"key": "kind", "value": ["shop", "farm"]}}, True),
        ({"notIn": {"key": "kind", "value": ["shop", "farm"]}}, False),
        ({"startsWith": {"key": "kind", "value": "fa"}}, True),
        ({"listContains": {"key": "tags", "value": "fruit"}}, True),
        ({"listContains": {"key": "kind", "value": "farm"}}, False),
        ({"stringContains": {"key": "kind", "value": "ar"}}, True),
        ({"stringContains": {"key": "tags", "value": "ruit"}}, True),
        (
            {
                "andAll": [
                    {"equals": {"key": "kind", "value": "farm"}},
                    {"lessThan": {"key": "year", "value": 2000}},
                ]
            },
            False,
        ),
        (
            {
                "orAll": [
                    {"equals": {"key": "kind", "value": "shop"}},
                    {"greaterThan": {"key": "year", "value": 2000}},
                ]
            },
            True,
        ),
    ],
)
def test_a_filter_keeps_only_documents_whose_metadata_passes(
    served: Served, wanted: dict[str, Any], kept: bool
) -> None:
    results = uris(found(served, "cider", filter=wanted))
    assert bool(results) is kept


def test_typed_metadata_is_read_as_its_value(served: Served) -> None:
    (train,) = found(served, "train", filter={"lessThan": {"key": "year", "value": 2000}})
    assert train["metadata"]["year"] == 1999


ATTRIBUTES = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.booleans() | st.integers(-2, 2) | st.sampled_from(["x", "xy"]) | st.just(["x", "y"]),
    max_size=2,
)
LEAVES = st.builds(
    lambda operator, key, value: {operator: {"key": key, "value": value}},
    st.sampled_from([name for name in OPERATORS if not name.endswith("All")]),
    st.sampled_from(["a", "b"]),
    st.booleans() | st.integers(-2, 2) | st.sampled_from(["x", "xy"]) | st.just(["x", 1]),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda operator, parts: {operator: parts},
        st.sampled_from(["andAll", "orAll"]),
        st.lists(inner, min_size=2, max_size=3),
    ),
    max_leaves=5,
)


@given(FILTERS, ATTRIBUTES)
def test_every_filter_is_either_refused_or_applied(wanted: Any, metadata: dict[str, Any]) -> None:
    try:
        checked(wanted)
    except AwsError:
        return
    assert passes(wanted, metadata) in (True, False)
    ((operator, parts),) = wanted.items()
    if operator in ("andAll", "orAll"):
        each = [passes(part, metadata) for part in parts]
        assert passes(wanted, metadata) is (all(each) if operator == "andAll" else any(each))


@pytest.mark.parametrize(
    "wanted",
    [
        {"andAll": [{"equals": {"key": "a", "value": 1}}]},
        {"greaterThan": {"key": "a", "value": "1"}},
        {"in": {"key": "a", "value": "x"}},
        {"startsWith": {"key": "a", "value": 1}},
        {"equals": {"key": "", "value": 1}},
        {"near": {"key": "a", "value": 1}},
        {"equals": {"key": "a", "value": 1}, "in": {"key": "a", "value": [1]}},
    ],
)
def test_a_malformed_filter_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(AwsError):
        checked(wanted)


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ("NOTHINGHER", "ResourceNotFoundException"),
        (f"{KB}.throttle", "ThrottlingException"),
        (f"{KB}.conflict", "ConflictException"),
        (f"{KB}.dependency-failed", "DependencyFailedException"),
        (f"{KB}.bad-gateway-exception", "BadGatewayException"),
        (f"{KB}.denied", "AccessDeniedException"),
    ],
)
def test_a_knowledge_base_fails_in_awss_format(served: Served, identifier: str, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        retrieved(served, "cider", knowledgeBaseId=identifier)
    assert caught.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    "more",
    [
        {"retrievalQuery": {"text": " "}},
        {"retrievalConfiguration": {"vectorSearchConfiguration": {"numberOfResults": 101}}},
    ],
)
def test_a_malformed_query_is_refused(served: Served, more: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        retrieved(served, "cider", **more)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize(
    ("search", "taken"),
    [
        ({"managedSearchConfiguration": {"rerankingModelType": "MANAGED"}}, True),
        ({"managedSearchConfiguration": {"rerankingModelType": "BEST"}}, False),
        ({"managedSearchConfiguration": {"overrideSearchType": "HYBRID"}}, False),
        ({"vectorSearchConfiguration": {"rerankingModelType": "MANAGED"}}, False),
        ({"vectorSearchConfiguration": {}, "managedSearchConfiguration": {}}, False),
    ],
)
def test_each_kind_of_search_has_its_own_members(
    served: Served, search: dict[str, Any], taken: bool
) -> None:
    """Only the newest service model, not the pinned SDK, knows managed search."""
    body = {"retrievalQuery": {"text": "cider"}, "retrievalConfiguration": search}
    reply = httpx.post(f"{served.url}/knowledgebases/{KB}/retrieve", json=body)

    assert (reply.status_code == 200) is taken


def test_rows_recordings_and_videos_have_their_own_shapes(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("item,price\ncider,4.50\n")
    (tmp_path / "talk.mp3").write_bytes(b"x")
    (tmp_path / "talk.mp3.transcript.txt").write_text("cider is fine")
    (tmp_path / "cider.mp4").write_bytes(b"x")
    shape = newest("bedrock-agent-runtime").operation_model("Retrieve").output_shape
    with serving(EmulatorConfig(knowledge_bases={KB: str(tmp_path)})) as emulator:
        body = {"retrievalQuery": {"text": "cider"}}
        reply = httpx.post(f"{emulator.url}/knowledgebases/{KB}/retrieve", json=body).json()

    assert violations(shape, reply) == []
    contents = {each["content"]["type"]: each["content"] for each in reply["retrievalResults"]}
    assert contents["ROW"]["row"][1]["columnValue"] == "4.50"
    assert contents["AUDIO"]["audio"]["transcription"] == "cider is fine"
    assert "summary" not in contents["VIDEO"]["video"]


def test_a_question_without_words_finds_nothing(served: Served) -> None:
    assert found(served, "?!") == []
    assert found(served, 'zebra" OR text:*') == []
