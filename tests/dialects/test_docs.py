"""docs/openai.md and docs/aws-sdk.md, held to the tables that decide."""

import re
from pathlib import Path
from typing import Any

from app.api.bedrock import converse
from app.api.bedrock import errors as aws
from app.api.openai import unsupported_parameters
from app.domain import errors
from tests.support.app import Rig
from tests.support.pictures import ASTRONAUT, b64
from tests.support.server import serving

DOCS = Path(__file__).parents[2] / "docs"
OPENAI = (DOCS / "openai.md").read_text()
AWS = (DOCS / "aws-sdk.md").read_text()


def named(text: str) -> set[str]:
    return set(re.findall(r"`([\w.]+)`", text))


def test_every_parameter_of_openai_that_is_judged_is_named():
    known = named(OPENAI)

    assert unsupported_parameters.REQUEST.harmless <= known
    assert set(unsupported_parameters.REQUEST.neutral) <= known
    assert unsupported_parameters.RESPONSES.harmless <= known
    assert set(unsupported_parameters.RESPONSES.neutral) <= known


def test_every_parameter_of_converse_that_is_judged_is_named():
    assert converse.REQUEST.harmless | set(converse.REQUEST.neutral) <= named(AWS)


def test_every_row_of_awss_exceptions_is_what_the_code_answers():
    row = r"^\| (\w+Exception(?:, \w+Exception)*) \| (\d+) \| (.*) \|$"
    rows = re.findall(row, AWS, re.MULTILINE)
    by_code = {cls.code: cls for cls in errors.catalogue()}

    assert rows
    for names, status, codes in rows:
        for code in named(codes):
            found = aws.aws_error(by_code[code]("detail"))
            assert found.type in names.split(", "), code
            assert found.status == int(status), code


def test_every_exception_that_can_be_answered_has_its_row():
    for cls in errors.catalogue():
        assert f" {aws.aws_error(cls('detail')).type}" in AWS, cls.code


def example(page: str, url: str) -> dict[str, Any]:
    """Run the page's examples of Python against ``url`` and return what they defined."""
    found = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert found
    code = "\n".join(found).replace("http://localhost:8000", url)
    code = code.replace("data:image/jpeg;base64,…", f"data:image/png;base64,{b64(ASTRONAUT)}")
    defined: dict[str, Any] = {"picture": ASTRONAUT}
    exec(code.replace("lvk_…", "lvk_any"), defined)
    defined["client"].close()
    return defined


def test_the_examples_work_as_they_stand(monkeypatch):
    # Which the example sets; put back afterwards.
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "")
    with serving(Rig().app()) as url:
        openai, boto = example(OPENAI, url), example(AWS, url)

    said = "[fake 1 image(s)] What is in this picture?"
    assert openai["answer"].choices[0].message.content == said
    assert openai["response"].output_text == said
    assert boto["answer"]["output"]["message"]["content"][0]["text"] == said
