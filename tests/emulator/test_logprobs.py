"""Log probabilities of imported models: invented, but for exactly the answer's tokens."""

import json
import math
from typing import Any

import pytest

from tests.support.emulator.bodies import chat, replied, streamed, template, written


def content(runtime: Any, text: str, *images: bytes, **more: Any) -> tuple[str, list[Any]]:
    """Return the text of a chat completion, and the scores of its tokens."""
    (choice,) = replied(runtime, chat(text, *images, logprobs=True, **more))["choices"]
    return choice["message"]["content"], choice["logprobs"]["content"]


def test_the_scored_tokens_are_those_of_the_answer(runtime: Any) -> None:
    for asked in ("Describe 🙂 naïve", "สวัสดี"):
        text, scores = content(runtime, asked)
        assert "".join(score["token"] for score in scores) == text
        assert bytes(byte for score in scores for byte in score["bytes"]).decode() == text
        assert all(score["logprob"] <= 0 for score in scores)
        assert all(score["top_logprobs"] == [] for score in scores)


@pytest.mark.parametrize("top", [1, 3, 20])
def test_the_top_tokens_contain_the_chosen_one_and_sum_to_at_most_one(
    runtime: Any, top: int
) -> None:
    _, scores = content(runtime, "Why is it so?", top_logprobs=top)
    for score in scores:
        tops = score["top_logprobs"]
        assert 0 < len(tops) <= top
        assert sum(math.exp(entry["logprob"]) for entry in tops) <= 1 + 1e-5
        assert [entry["logprob"] for entry in tops] == sorted(
            (entry["logprob"] for entry in tops), reverse=True
        )
        # At temperature 0 the likeliest token is the one chosen.
        assert (tops[0]["token"], tops[0]["logprob"]) == (score["token"], score["logprob"])
        assert len({entry["token"] for entry in tops}) == len(tops)


def test_a_choice_shares_its_probability_with_the_other_choices(runtime: Any) -> None:
    choices = ["cat", "dog", "bird"]
    text, scores = content(
        runtime, "Which?", structured_outputs={"choice": choices}, top_logprobs=5
    )
    shares = {e["token"]: math.exp(e["logprob"]) for e in scores[0]["top_logprobs"]}
    assert {token for token in shares if text.startswith(token)}
    assert len(shares) == 3
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)


def test_words_in_the_picture_are_likelier_than_a_guess(runtime: Any) -> None:
    picture = written("Total: 42.10", size=(400, 120))
    asked = {"structured_outputs": {"choice": ["total", "letter"]}}
    _, founded = content(runtime, "Which is it?", picture, **asked)
    _, guessed = content(runtime, "Which is it?", **asked)
    assert founded[0]["logprob"] > guessed[0]["logprob"]


def test_without_a_request_there_are_no_log_probabilities(runtime: Any) -> None:
    (choice,) = replied(runtime, chat("Why?"))["choices"]
    assert choice["logprobs"] is None
    assert replied(runtime, chat("Why?"))["prompt_logprobs"] is None


def test_a_truncated_answer_has_scores_for_the_remaining_tokens(runtime: Any) -> None:
    (cut,) = replied(runtime, chat("Why?", logprobs=True, max_tokens=3))["choices"]
    assert len(cut["logprobs"]["content"]) == 3
    (stopped,) = replied(runtime, chat("Why?", logprobs=True, stop=["ict"]))["choices"]
    said = "".join(score["token"] for score in stopped["logprobs"]["content"])
    assert said == stopped["message"]["content"]


def test_streamed_scores_are_those_of_the_plain_answer(runtime: Any) -> None:
    sent = chat("Why?", logprobs=True, top_logprobs=2)
    whole = replied(runtime, sent)["choices"][0]["logprobs"]["content"]
    choices = [part["choices"][0] for part in streamed(runtime, sent) if part["choices"]]
    parts = [score for c in choices if c["logprobs"] for score in c["logprobs"]["content"]]
    assert parts == whole


@pytest.mark.parametrize(("wanted", "top"), [(True, 1), (1, 1), (4, 4), (0, 0)])
def test_openais_completion_format_lists_them_in_parallel_arrays(
    runtime: Any, wanted: Any, top: int
) -> None:
    sent = {"prompt": template("Why?"), "max_tokens": 50, "temperature": 0, "logprobs": wanted}
    (choice,) = replied(runtime, json.dumps(sent))["choices"]
    scores = choice["logprobs"]
    assert "".join(scores["tokens"]) == choice["text"]
    offsets = scores["text_offset"]
    for token, offset in zip(scores["tokens"], offsets, strict=True):
        assert choice["text"][offset:].startswith(token)
    assert {len(tops) for tops in scores["top_logprobs"]} == {top}
    parts = streamed(runtime, json.dumps(sent))
    told = [p["choices"][0]["logprobs"] for p in parts if p["choices"]]
    assert [o for scores in told if scores for o in scores["text_offset"]] == offsets


def test_bedrocks_completion_format_lists_them_by_token_id(runtime: Any) -> None:
    sent = json.dumps({"prompt": "Why?", "return_logprobs": True, "temperature": 0})
    answer = replied(runtime, sent)
    assert len(answer["logprobs"]) == answer["generation_token_count"]
    for score in answer["logprobs"]:
        ((token_id, logprob),) = score.items()
        assert token_id.isdecimal()
        assert logprob <= 0
    parts = streamed(runtime, sent)
    assert [score for part in parts for score in part["logprobs"]] == answer["logprobs"]
    assert "logprobs" not in replied(runtime, json.dumps({"prompt": "Why?"}))


def test_all_prompt_tokens_but_the_first_have_scores(runtime: Any) -> None:
    first, *others = replied(runtime, chat("Why?", prompt_logprobs=1))["prompt_logprobs"]
    assert first is None
    for score in others:
        ((token_id, entry),) = score.items()
        assert token_id.isdecimal()
        assert entry["rank"] == 1
        assert entry["logprob"] <= 0
