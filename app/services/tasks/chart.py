"""The chart task: reads a chart's kind, axes and data."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from app.domain.model import Capabilities
from app.services.answers.fence import fenced
from app.services.answers.form import Model, ModelAnswer, ModelPart
from app.services.answers.lenient import (
    Listed,
    Nullable,
    Reading,
    SparedText,
    Text,
    notes_of,
    synonyms,
    trimmed,
    word,
)
from app.services.deferred_model import DeferredModel
from app.services.evidence.claim import Claim, Path, leaves
from app.services.tasks.capability import CHART_VALUES_UNTRAINED, Capability
from app.services.tasks.pages import (
    Conflict,
    PageFacts,
    PageReport,
    by_page,
    facts,
    report,
    settled,
)
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import (
    LISTING,
    DocumentParameters,
    Example,
    Finding,
    Images,
    Question,
    Result,
    Task,
    VerifiedParameters,
)

MAX_POINTS = 200

Kind = Literal["bar", "line", "pie", "scatter", "area", "histogram", "box", "mixed", "other"]


class ChartParameters(DocumentParameters, VerifiedParameters):
    """An optional question about the chart."""

    question: Annotated[
        str | None, Field(max_length=2000, description="Answered by `insight`, if given.")
    ] = None


_KINDS = synonyms(
    bar=(
        "bar chart,bar graph,bars,column,column chart,columns,stacked bar,stacked bar chart,"
        "grouped bar,grouped bar chart,horizontal bar,horizontal bar chart,vertical bar,"
        "vertical bar chart,clustered bar chart,stacked column chart,barplot,bar plot,"
        "balkendiagramm,säulendiagramm,balken,diagramme à barres,gráfico de barras,grafico a barre"
    ),
    line=(
        "line chart,line graph,line plot,lines,multi line chart,liniendiagramm,time series,"
        "courbe,gráfico de líneas"
    ),
    pie=(
        "pie chart,pie graph,donut,doughnut,donut chart,doughnut chart,ring chart,"
        "kreisdiagramm,tortendiagramm,camembert"
    ),
    scatter=(
        "scatter plot,scatterplot,scatter chart,scatter graph,scatter diagram,bubble,"
        "bubble chart,streudiagramm"
    ),
    area="area chart,area graph,stacked area,stacked area chart,flächendiagramm",
    histogram="histograms,histogramm,histogram chart",
    box="box plot,boxplot,box and whisker,box and whisker plot,box chart",
    mixed="combo,combo chart,combination,combination chart,combined,bar and line,mixed chart",
    other="other chart,unknown",
)


class Point(ModelPart):
    """One value of a series."""

    aliases: ClassVar[dict[str, str]] = {
        "name": "x", "label": "x", "category": "x", "value": "y", "legend": "series",
    }  # fmt: skip

    series: Annotated[Nullable[Text], Field(description="as in the legend")] = None
    x: Annotated[Text, Field(description="category or place on the x axis")]
    y: Nullable[Reading] = None

    @model_validator(mode="before")
    @classmethod
    def _pair(cls, value: object) -> object:
        """Convert a pair such as ``["2020", 10]`` to a place and its value."""
        if isinstance(value, list) and len(value) == 2:
            return {"x": value[0], "y": value[1]}
        return value


def _pointed(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - any JSON value
    """Return points of the same unit: values that are all in percent stay percentages."""
    match value:
        case {"x": [*xs], "y": [*ys]} if len(xs) == len(ys):
            value = [list(pair) for pair in zip(xs, ys, strict=True)]
    if isinstance(value, dict) and not {"x", "y"} & set(value):
        value = [[x, y] for x, y in value.items()]
    if not isinstance(value, list):
        return value
    heights = [p["y"] for p in value if isinstance(p, dict) and p.get("y") is not None]
    if heights and all(isinstance(y, str) and y.rstrip().endswith("%") for y in heights):
        notes_of(info).say("unit_left_out", "All values of the chart are in percent.")
        return [
            {**p, "y": p["y"].rstrip().removesuffix("%")}
            if isinstance(p, dict) and p.get("y")
            else p
            for p in value
        ]
    return value


class ChartAnswer(ModelAnswer):
    """The form of the model's answer."""

    aliases: ClassVar[dict[str, str]] = {
        "type": "chart_type",
        "kind": "chart_type",
        "data": "points",
    }
    spared: ClassVar[frozenset[str]] = frozenset({"insight"})
    spoken: ClassVar[tuple[str, ...]] = ("insight",)

    chart_type: Annotated[Kind, word(_KINDS, kind="chart", other="other")]
    title: Nullable[Text] = None
    x_axis: Annotated[Nullable[Text], Field(description="label of the x axis with its unit")] = None
    y_axis: Annotated[Nullable[Text], Field(description="label of the y axis with its unit")] = None
    points: Annotated[
        Listed[Point],
        Field(max_length=MAX_POINTS),
        trimmed(MAX_POINTS, "points"),
        BeforeValidator(_pointed),
    ]
    insight: Annotated[SparedText, Field(description="one sentence")]


class AxesOut(DeferredModel):
    """The labels of the axes; null for an axis without a label."""

    x: str | None
    y: str | None


class ChartTable(DeferredModel):
    """The data as a table with a row for each x and a column for each series."""

    columns: Annotated[list[str], Field(description="The x axis, then each series.")]
    rows: Annotated[
        list[list[str | float | None]],
        Field(
            description="x, then the value of each series, or null if it has none there. Several "
            "values of one series at the same x make several rows."
        ),
    ]


class ChartData(DeferredModel):
    """A chart's data."""

    chart_type: Kind
    title: str | None
    axes: AxesOut
    table: ChartTable
    insight: Annotated[
        str | None,
        Field(
            description="One line, or the answer if a question was given. Null if the model's "
            "answer was cut off before it."
        ),
    ]


class ChartPage(PageReport):
    """The chart on one page."""

    chart: Annotated[ChartData | None, Field(description="Null if none could be read.")]


class ChartResult(Result, ChartData):
    """The chart with the most values, completed from other pages that show the same chart."""

    conflicts: Annotated[
        list[Conflict], Field(description="Where pages disagree: `series.x`, `chart_type`.")
    ]
    pages: Annotated[list[ChartPage], Field(description="The chart on each page or picture.")]


def questions(
    parameters: ChartParameters, shots: int, _able: Capabilities
) -> Sequence[Question[ChartAnswer]]:
    """Return one question for each picture, page or tile."""
    form = Model(ChartAnswer)
    question = parameters.question
    text = prompt("chart").filled(
        question=f" The insight answers this: {fenced('question', question)}" if question else ""
    )
    return [Question(text, form, (shot,)) for shot in range(shots)]


PagedAnswer = tuple[PageFacts, ChartAnswer]


def conclude(_: ChartParameters, findings: Sequence[Finding[ChartAnswer]]) -> ChartResult:
    """Return the points as a table, merged over pages that show the same chart."""
    paged_answers, pages = [], []
    for page in by_page(findings):
        answers: list[PagedAnswer] = [
            (PageFacts(**facts(page)), f.answer) for f in page if f.answer
        ]
        paged_answers += answers
        chart = _data(_united(answers)[0]) if answers else None
        pages.append(ChartPage(**report(page), chart=chart))
    answer, conflicts = _united(paged_answers)
    return ChartResult(**dict(_data(answer)), conflicts=conflicts, pages=pages)


def _united(paged_answers: Sequence[PagedAnswer]) -> tuple[ChartAnswer, list[Conflict]]:
    """Return the chart with the most points, completed from answers about the same chart."""
    _, largest = max(paged_answers, key=lambda one: len(one[1].points))
    same = [one for one in paged_answers if _same_chart(one[1], largest)]
    kind, conflicts = settled("chart_type", [(where, answer.chart_type) for where, answer in same])
    cells: dict[tuple[str | None, str, int], list[tuple[PageFacts, float]]] = {}
    for where, answer in same:
        # Several values at one place in one answer are separate points, as in a scatter plot.
        times: Counter[tuple[str | None, str]] = Counter()
        for point in answer.points:
            place = point.series, point.x
            cell = cells.setdefault((*place, times[place]), [])
            times[place] += 1
            cell += [(where, point.y)] if point.y is not None else []
    points = []
    for (series, x, _), values in cells.items():
        path = f"{series}.{x}" if series else x
        value, differing = settled(path, values) if values else (None, [])
        points.append(Point(series=series, x=x, y=value))
        conflicts += differing
    return largest.model_copy(update={"chart_type": kind, "points": points}), conflicts


def _same_chart(one: ChartAnswer, other: ChartAnswer) -> bool:
    names, others = (
        [" ".join((name or "").split()).casefold() for name in (c.title, c.x_axis, c.y_axis)]
        for c in (one, other)
    )
    # Charts without any names may be unrelated, so their kinds must be the same.
    return names == others and (any(names) or one.chart_type == other.chart_type)


def _data(answer: ChartAnswer) -> ChartData:
    return ChartData(
        chart_type=answer.chart_type,
        title=answer.title,
        axes=AxesOut(x=answer.x_axis, y=answer.y_axis),
        table=tabulated(answer),
        insight=answer.insight,
    )


def tabulated(answer: ChartAnswer) -> ChartTable:
    """Return the points by x and series, in order of first appearance."""
    unnamed = answer.y_axis or "value"
    series = list(dict.fromkeys(point.series or unnamed for point in answer.points))
    rows: dict[tuple[str, int], dict[str, float | None]] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for point in answer.points:
        name = point.series or unnamed
        rows.setdefault((point.x, seen[point.x, name]), {})[name] = point.y
        seen[point.x, name] += 1
    return ChartTable(
        columns=[answer.x_axis or "x", *series],
        rows=[[x, *(values.get(name) for name in series)] for (x, _), values in rows.items()],
    )


def claims(result: ChartResult) -> Iterator[Claim]:
    """Yield claims for texts that may be printed: titles, axes, series, places and values."""
    drawn = [(index, page, page.chart) for index, page in enumerate(result.pages) if page.chart]
    page_values = [(page.page, dict(_printed(chart))) for _, page, chart in drawn]
    for path, value in _printed(result):
        pages = frozenset(page for page, values in page_values if value in values.values())
        yield Claim(path, value, pages)
    for index, page, chart in drawn:
        part = ("pages", index, "chart")
        for path, value in _printed(chart):
            yield Claim((*part, *path), value, frozenset([page.page]), part=part)


def _printed(chart: ChartData) -> Iterator[tuple[Path, str | float]]:
    """Yield the texts and values that may be printed on the picture, with their paths."""
    printed = {
        "title": chart.title,
        "axes": chart.axes.model_dump(),
        "table": chart.table.model_dump(),
    }
    # A column without a name has an invented one.
    invented: dict[Path, str] = {("table", "columns", 0): "x", ("table", "columns", 1): "value"}
    for path, value in leaves(printed):
        if invented.get(path) != value:
            yield path, value


CHART = Task(
    name="chart",
    summary="Read the data off a chart",
    description="Kind, title, axes and the series as a table, with a one-line insight. Values that "
    "are not printed are read off the axis and approximate. Takes PDFs and several pages, too.",
    parameters=ChartParameters,
    result=ChartResult,
    questions=questions,
    conclude=conclude,
    claims=claims,
    capability=Capability(
        basis="ChartQA 83.4 (with chain of thought): questions, not tables.",
        untrained=(
            "exact values",
            "whole tables",
        ),
    ),
    cautions=lambda *_: (CHART_VALUES_UNTRAINED,),
    images=Images(most=20, documents=True),
    sampling=LISTING,
    language="Write the insight in $language; copy the words of the chart as they are.",
    example=Example(
        parameters={"question": "Which year was best?"},
        result={
            "chart_type": "bar",
            "title": "Sales",
            "axes": {"x": "Year", "y": "Units"},
            "table": {"columns": ["Year", "Units"], "rows": [["2024", 12.0], ["2025", 19.0]]},
            "insight": "2025 was best.",
            "conflicts": [],
            "pages": [
                {
                    "page": 1,
                    "file": "images.0",
                    "number": 1,
                    "width": 600,
                    "height": 400,
                    "error": None,
                    "warnings": [],
                    "chart": {
                        "chart_type": "bar",
                        "title": "Sales",
                        "axes": {"x": "Year", "y": "Units"},
                        "table": {
                            "columns": ["Year", "Units"],
                            "rows": [["2024", 12.0], ["2025", 19.0]],
                        },
                        "insight": "2025 was best.",
                    },
                }
            ],
        },
    ),
)
