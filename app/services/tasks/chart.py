"""Chart: its kind, its axes and its data as a table."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field, FiniteFloat

from app.domain.generation import Sampling
from app.services.answers.fence import fenced
from app.services.answers.form import Model
from app.services.answers.lenient import Listed, Nullable, Text, Word
from app.services.tasks.prompt import prompt, with_schema
from app.services.tasks.spec import Example, Finding, Parameters, Question, Result, Task, only

MAX_POINTS = 200

Kind = Literal["bar", "line", "pie", "scatter", "area", "histogram", "box", "mixed", "other"]


class ChartParameters(Parameters):
    """What to find out beside the data."""

    question: Annotated[
        str | None, Field(max_length=2000, description="Answered by `insight`, if given.")
    ] = None


class Point(BaseModel):
    """One value."""

    series: Annotated[Nullable[Text], Field(description="as in the legend")] = None
    x: Annotated[Text, Field(description="category or place on the x axis")]
    y: Nullable[FiniteFloat] = None


class ChartAnswer(BaseModel):
    """Asked of the model."""

    chart_type: Word[Kind]
    title: Nullable[Text] = None
    x_axis: Annotated[Nullable[Text], Field(description="label of the x axis with its unit")] = None
    y_axis: Annotated[Nullable[Text], Field(description="label of the y axis with its unit")] = None
    points: Annotated[Listed[Point], Field(max_length=MAX_POINTS)]
    insight: Annotated[Text, Field(min_length=1, description="one sentence")]


class AxesOut(BaseModel):
    """Labels of the axes, null where there is none."""

    x: str | None
    y: str | None


class ChartTable(BaseModel):
    """The data: a row for each x, a column for each series."""

    columns: Annotated[list[str], Field(description="The x axis, then each series.")]
    rows: Annotated[
        list[list[str | float | None]],
        Field(description="x, then the value of each series; null where it has none there."),
    ]


class ChartResult(Result):
    """A chart's data."""

    chart_type: Kind
    title: str | None
    axes: AxesOut
    table: ChartTable
    insight: Annotated[str, Field(description="One line; the answer, if a question was given.")]


def questions(parameters: ChartParameters, _: int) -> Sequence[Question[ChartAnswer]]:
    """Ask once."""
    form = Model(ChartAnswer)
    asked = parameters.question
    text = prompt("chart").filled(
        question=f" The insight answers this: {fenced('question', asked)}" if asked else ""
    )
    return (Question(with_schema(text, form.schema), form),)


def conclude(_: ChartParameters, findings: Sequence[Finding[ChartAnswer]]) -> ChartResult:
    """Return the points as a table."""
    answer = only(findings)
    return ChartResult(
        chart_type=answer.chart_type,
        title=answer.title,
        axes=AxesOut(x=answer.x_axis, y=answer.y_axis),
        table=tabulated(answer),
        insight=answer.insight,
    )


def tabulated(answer: ChartAnswer) -> ChartTable:
    """Return the points by x and series, in the order in which they first come."""
    unnamed = answer.y_axis or "value"
    series = list(dict.fromkeys(point.series or unnamed for point in answer.points))
    rows: dict[str, dict[str, float | None]] = {}
    for point in answer.points:
        rows.setdefault(point.x, {})[point.series or unnamed] = point.y
    return ChartTable(
        columns=[answer.x_axis or "x", *series],
        rows=[[x, *(values.get(name) for name in series)] for x, values in rows.items()],
    )


CHART = Task(
    name="chart",
    summary="Read the data off a chart",
    description="Kind, title, axes and the series as a table, with a one-line insight. Values that "
    "are not printed are read off the axis and approximate.",
    parameters=ChartParameters,
    result=ChartResult,
    questions=questions,
    conclude=conclude,
    sampling=Sampling(temperature=0.0, max_gen_len=2048),
    example=Example(
        parameters={"question": "Which year was best?"},
        result={
            "chart_type": "bar",
            "title": "Sales",
            "axes": {"x": "Year", "y": "Units"},
            "table": {"columns": ["Year", "Units"], "rows": [["2024", 12.0], ["2025", 19.0]]},
            "insight": "2025 was best.",
        },
    ),
)
