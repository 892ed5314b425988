"""Diagram: nodes and edges, and Mermaid text to draw it again."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain.generation import Sampling
from app.services.answers.fence import fenced
from app.services.answers.form import Model
from app.services.answers.lenient import Listed, Nullable, Text, Word
from app.services.tasks.pages import (
    Conflict,
    PageFacts,
    PageReport,
    by_page,
    facts,
    report,
    settled,
)
from app.services.tasks.prompt import prompt, with_schema
from app.services.tasks.spec import (
    DocumentParameters,
    Example,
    Finding,
    Images,
    Question,
    Result,
    Task,
)

MAX_NODES = 100
MAX_EDGES = 200

Kind = Literal[
    "flowchart", "sequence", "class", "entity_relationship", "network", "architecture",
    "organisation", "tree", "mind_map", "timeline", "other",
]  # fmt: skip


class DiagramParameters(DocumentParameters):
    """What to find out beside the structure."""

    question: Annotated[
        str | None, Field(max_length=2000, description="Answered by `explanation`, if given.")
    ] = None


class Node(BaseModel):
    """A box or symbol."""

    name: Annotated[Text, Field(min_length=1, max_length=200, description="the words in it")]


class Edge(BaseModel):
    """A line or arrow."""

    model_config = ConfigDict(populate_by_name=True)

    source: Annotated[Text, Field(alias="from", description="name of a node")]
    target: Annotated[Text, Field(alias="to", description="name of a node")]
    words: Annotated[Nullable[Text], Field(description="written beside the line")] = None


class DiagramAnswer(BaseModel):
    """Asked of the model."""

    kind: Word[Kind]
    nodes: Annotated[Listed[Node], Field(max_length=MAX_NODES)]
    edges: Annotated[Listed[Edge], Field(max_length=MAX_EDGES)]
    explanation: Annotated[Text, Field(min_length=1, description="one to three sentences")]

    @model_validator(mode="after")
    def _edges_end_at_nodes(self) -> Self:
        known = {node.name for node in self.nodes}
        if len(known) < len(self.nodes):
            raise ValueError("two nodes have one name; add a number to it")
        loose = {end for edge in self.edges for end in (edge.source, edge.target)} - known
        if loose:
            raise ValueError(f"edges name nodes that are not there: {', '.join(sorted(loose))}")
        return self


class NodeOut(BaseModel):
    """A box or symbol."""

    id: str
    label: str


class EdgeOut(BaseModel):
    """A line or arrow between two nodes."""

    source: str
    target: str
    label: str | None


class DiagramData(BaseModel):
    """A diagram's structure."""

    kind: Kind
    nodes: list[NodeOut]
    edges: Annotated[list[EdgeOut], Field(description="Both ends are ids of nodes.")]
    explanation: Annotated[str, Field(description="The answer, if a question was given.")]
    mermaid: Annotated[
        str | None, Field(description="A Mermaid flowchart; null where nothing is connected.")
    ]


class DiagramPage(PageReport):
    """The diagram on one page."""

    diagram: Annotated[DiagramData | None, Field(description="Null where none could be read.")]


class DiagramResult(Result, DiagramData):
    """The structure over all pages; nodes of one name are one node."""

    conflicts: Annotated[list[Conflict], Field(description="What pages tell differently: `kind`.")]
    pages: Annotated[list[DiagramPage], Field(description="The diagram on each page or picture.")]


def questions(parameters: DiagramParameters, shots: int) -> Sequence[Question[DiagramAnswer]]:
    """Ask once for each picture, page or tile."""
    form = Model(DiagramAnswer)
    asked = parameters.question
    text = prompt("diagram").filled(
        question=f" The explanation answers this: {fenced('question', asked)}" if asked else ""
    )
    text = with_schema(text, form.schema)
    return [Question(text, form, (shot,)) for shot in range(shots)]


Told = tuple[PageFacts, DiagramAnswer]


def conclude(_: DiagramParameters, findings: Sequence[Finding[DiagramAnswer]]) -> DiagramResult:
    """Return the structure."""
    told, pages = [], []
    for page in by_page(findings):
        answers: list[Told] = [(PageFacts(**facts(page)), f.answer) for f in page if f.answer]
        told += answers
        diagram = _united(answers)[0] if answers else None
        pages.append(DiagramPage(**report(page), diagram=diagram))
    diagram, conflicts = _united(told)
    return DiagramResult(**dict(diagram), conflicts=conflicts, pages=pages)


def _united(told: Sequence[Told]) -> tuple[DiagramData, list[Conflict]]:
    answers = [answer for _, answer in told]
    kind, conflicts = settled("kind", [(where, answer.kind) for where, answer in told])
    names = dict.fromkeys(node.name for answer in answers for node in answer.nodes)
    ids = {name: f"n{number}" for number, name in enumerate(names, 1)}
    nodes = [NodeOut(id=own, label=name) for name, own in ids.items()]
    drawn = ((e.source, e.target, e.words) for answer in answers for e in answer.edges)
    edges = [
        EdgeOut(source=ids[source], target=ids[target], label=words)
        for source, target, words in (dict.fromkeys(drawn) if len(answers) > 1 else drawn)
    ]
    data = DiagramData(
        kind=kind,
        nodes=nodes,
        edges=edges,
        explanation=" ".join(dict.fromkeys(answer.explanation for answer in answers)),
        mermaid=mermaid(nodes, edges) if edges else None,
    )
    return data, conflicts


def mermaid(nodes: Sequence[NodeOut], edges: Sequence[EdgeOut]) -> str:
    """Return a flowchart. Ids are our own, so that no word of the picture is taken for syntax."""
    return "\n".join(("flowchart TD", *_lines(nodes, edges)))


def _lines(nodes: Sequence[NodeOut], edges: Sequence[EdgeOut]) -> Iterator[str]:
    for node in nodes:
        yield f"    {node.id}[{_quoted(node.label)}]"
    for edge in edges:
        label = f"|{_quoted(edge.label)}|" if edge.label else ""
        yield f"    {edge.source} -->{label} {edge.target}"


def _quoted(text: str) -> str:
    # Mermaid's own entity codes; a label is HTML to it.
    escaped = text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;")
    return '"' + " ".join(escaped.replace(">", "#gt;").split()) + '"'


DIAGRAM = Task(
    name="diagram",
    summary="Read the structure of a diagram",
    description="Nodes, edges and an explanation, with Mermaid text where things are connected. "
    "Takes PDFs and several pages, too: nodes of one name are one node.",
    parameters=DiagramParameters,
    result=DiagramResult,
    questions=questions,
    conclude=conclude,
    images=Images(most=20, documents=True),
    sampling=Sampling(temperature=0.0, max_gen_len=2048),
    example=Example(
        parameters={},
        result={
            "kind": "flowchart",
            "nodes": [{"id": "n1", "label": "Start"}, {"id": "n2", "label": "Stop"}],
            "edges": [{"source": "n1", "target": "n2", "label": None}],
            "explanation": "It starts and stops.",
            "mermaid": 'flowchart TD\n    n1["Start"]\n    n2["Stop"]\n    n1 --> n2',
            "conflicts": [],
            "pages": [
                {
                    "page": 1,
                    "file": "images.0",
                    "number": 1,
                    "width": 600,
                    "height": 400,
                    "error": None,
                    "diagram": {
                        "kind": "flowchart",
                        "nodes": [{"id": "n1", "label": "Start"}, {"id": "n2", "label": "Stop"}],
                        "edges": [{"source": "n1", "target": "n2", "label": None}],
                        "explanation": "It starts and stops.",
                        "mermaid": 'flowchart TD\n    n1["Start"]\n    n2["Stop"]\n    n1 --> n2',
                    },
                }
            ],
        },
    ),
)
