"""Cache keys are equal exactly if everything that affects the answer is equal."""

from dataclasses import fields, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.domain.access import Call, Caller, Scope
from app.domain.cache import CacheMode, CacheScope
from app.domain.generation import CallContext, ModelRequest, Role, Sampling, Turn
from app.domain.guardrail import GuardrailPolicy, Mode
from app.domain.image import ImageType, PreparedImage
from app.domain.output import Choice, JsonObject, JsonSchema
from app.services.cache.key import answer_key
from app.services.cache.terms import CacheTerms
from app.services.guardrails.policies import GuardrailPolicies

# Few values, so that hypothesis often draws equal ones, and texts that could run together.
TEXTS = st.sampled_from(["", "a", "b", "ab", "a\x00b", "none", "some", "1", "é", "\ud800"])
PIXELS = st.sampled_from(["p1", "p2"])
SYSTEMS = st.one_of(st.none(), TEXTS)
FORMS = st.sampled_from(
    [
        None,
        JsonObject(),
        JsonSchema("a", {"x": 1, "y": 2}),
        JsonSchema("a", {"y": 2, "x": 1}),
        JsonSchema("b", {"x": 1, "y": 2}),
        Choice(("a", "b")),
        Choice(("ab",)),
        Choice(("object",)),
    ]
)


@st.composite
def questions(draw: Any) -> dict[str, Any]:
    """Draw everything that affects an answer."""
    turns = draw(st.lists(st.tuples(TEXTS, st.lists(PIXELS, max_size=2)), min_size=1, max_size=3))
    return {
        "scope": draw(st.sampled_from(["caller ann", "caller bob", "shared shared"])),
        "model": draw(st.sampled_from(["r/m/invoke", "r/m/converse"])),
        "policy": draw(st.sampled_from(["", "apply/g/1/enforce", "apply/g/2/enforce"])),
        "task": draw(st.sampled_from(["", "ocr-1+system-1", "ocr-2+system-1"])),
        "turns": tuple((text, tuple(pixels)) for text, pixels in turns),
        "system": draw(SYSTEMS),
        "temperature": draw(st.sampled_from([0, 0.5])),
        "top_p": draw(st.sampled_from([0.9, 1])),
        "max_gen_len": draw(st.sampled_from([1, 512])),
        "stop": draw(st.sampled_from([(), ("a",), ("a", "b"), ("ab",)])),
        "form": draw(FORMS),
        "begun": draw(TEXTS),
        "logprobs": draw(st.sampled_from([None, 0, 1])),
        "raw": draw(st.booleans()),
    }


def key(asked: dict[str, Any], **terms: Any) -> str:
    """Return the key of a request; files and call options do not affect it."""
    turns = tuple(
        Turn(
            Role.ASSISTANT if number % 2 else Role.USER,
            text,
            tuple(PreparedImage(terms.get("data", b"x"), ImageType.PNG, 1, 1) for _ in pixels),
        )
        for number, (text, pixels) in enumerate(asked["turns"])
    )
    request = ModelRequest(
        turns,
        asked["system"],
        Sampling(asked["temperature"], asked["top_p"], asked["max_gen_len"]),
        asked["raw"],
        CallContext(
            task=asked["task"],
            deadline=terms.get("deadline", 1.0),
            idempotency_key=terms.get("idempotency_key"),
            second_bill=terms.get("second_bill", False),
        ),
        asked["stop"],
        asked["form"],
        asked["begun"],
        asked["logprobs"],
    )
    return answer_key(
        asked["scope"],
        request,
        model=asked["model"],
        pixels=[digest for _, pixels in asked["turns"] for digest in pixels],
        policy=asked["policy"],
    )


def test_every_field_of_a_request_is_part_of_the_key_or_listed_as_irrelevant():
    decides_nothing = {"call_context", "bill", "guardrail"}
    drawn = {"turns", "system", "sampling", "raw_prompt", "stop", "form", "begun", "logprobs"}

    assert {field.name for field in fields(ModelRequest)} == drawn | decides_nothing


def outline(asked: dict[str, Any]) -> str:
    return repr(asked)


@given(questions(), questions())
def test_two_requests_have_one_key_exactly_if_nothing_relevant_differs(one, other):
    assert (key(one) == key(other)) == (outline(one) == outline(other))


@given(questions(), st.data())
def test_any_relevant_difference_changes_the_key(asked, data):
    other = data.draw(questions())
    name = data.draw(st.sampled_from(sorted(asked)))
    changed = {**asked, name: other[name]}

    assert (key(asked) == key(changed)) == (outline(asked) == outline(changed))


@given(questions())
def test_file_bytes_and_call_options_do_not_affect_the_key(asked):
    assert key(asked) == key(
        asked, data=b"another file", deadline=9.0, idempotency_key="k", second_bill=True
    )


CALLERS = st.builds(
    Caller, st.sampled_from(["ann", "bob", "shared", "anonymous"]), st.just(frozenset(Scope))
)


@given(CALLERS, CALLERS, st.sampled_from(CacheScope))
def test_two_callers_share_answers_only_in_the_shared_scope(one, other, scope):
    terms = CacheTerms(CacheMode.ON, scope, False, "r/m/invoke", "m", GuardrailPolicies())
    request = ModelRequest((Turn(Role.USER, "Why?"),))

    def place(caller: Caller) -> object:
        context = CallContext(Call(caller))
        return terms.place(replace(request, call_context=context), ())

    assert (place(one) == place(other)) == (scope is CacheScope.SHARED or one.id == other.id)
    if scope is CacheScope.CALLER:
        shared = replace(terms, scope=CacheScope.SHARED)
        context = CallContext(Call(one))
        assert place(one) != shared.place(replace(request, call_context=context), ())


def test_callers_without_keys_are_distinguished_by_address():
    terms = CacheTerms(CacheMode.ON, CacheScope.CALLER, False, "t", "m", GuardrailPolicies())
    places = [
        terms.place(
            ModelRequest((Turn(Role.USER, "Why?"),), call_context=CallContext(address=address)), ()
        )
        for address in ("10.0.0.1", "10.0.0.2")
    ]

    assert places[0] != places[1]


@given(st.sampled_from(Mode), st.sampled_from(Mode), st.sampled_from(["1", "2"]))
def test_an_answer_cached_under_one_guardrail_policy_is_not_used_under_another(
    input_, output, version
):
    def place(policy: GuardrailPolicy) -> object:
        policies = GuardrailPolicies(policy)
        terms = CacheTerms(CacheMode.ON, CacheScope.CALLER, False, "t", "m", policies)
        return terms.place(ModelRequest((Turn(Role.USER, "Why?"),)), ())

    own = GuardrailPolicy(input_, output, id="g", version=version)
    other = GuardrailPolicy(Mode.ENFORCE, Mode.ENFORCE, id="g", version="1")
    assert (place(own) == place(other)) == (own == other)
