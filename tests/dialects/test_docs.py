"""docs/openai.md and docs/aws-sdk.md match the code's tables."""

import re
from pathlib import Path

from app.api.bedrock import converse
from app.api.bedrock import errors as aws
from app.api.openai import unsupported_parameters
from app.domain import errors

DOCS = Path(__file__).parents[2] / "docs"
OPENAI = (DOCS / "openai.md").read_text()
AWS = (DOCS / "aws-sdk.md").read_text()


def named(text: str) -> set[str]:
    return set(re.findall(r"`([\w.]+)`", text))


def test_every_openai_parameter_with_a_rule_is_documented():
    known = named(OPENAI)

    assert unsupported_parameters.REQUEST.harmless <= known
    assert set(unsupported_parameters.REQUEST.neutral) <= known
    assert unsupported_parameters.RESPONSES.harmless <= known
    assert set(unsupported_parameters.RESPONSES.neutral) <= known


def test_every_converse_parameter_with_a_rule_is_documented():
    assert converse.REQUEST.harmless | set(converse.REQUEST.neutral) <= named(AWS)


def test_every_row_of_awss_exceptions_matches_the_code():
    row = r"^\| (\w+Exception(?:, \w+Exception)*) \| (\d+) \| (.*) \|$"
    rows = re.findall(row, AWS, re.MULTILINE)
    by_code = {cls.code: cls for cls in errors.catalogue()}

    assert rows
    for names, status, codes in rows:
        for code in named(codes):
            found = aws.aws_error(by_code[code]("detail"))
            assert found.type in names.split(", "), code
            assert found.status == int(status), code


def test_every_exception_that_can_be_returned_has_its_row():
    for cls in errors.catalogue():
        assert f" {aws.aws_error(cls('detail')).type}" in AWS, cls.code
