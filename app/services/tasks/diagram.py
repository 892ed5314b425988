"""The diagram task: reads nodes and edges, and returns Mermaid text to redraw them."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, model_validator

from app.domain.model import Capabilities
from app.services.answers.fence import fenced
from app.services.answers.form import Model, ModelAnswer, ModelPart
from app.services.answers.lenient import (
    Listed,
    Nullable,
    SparedText,
    Text,
    notes_of,
    synonyms,
    trimmed,
    word,
)
from app.services.answers.schemas.conform import folded
from app.services.deferred_model import DeferredModel
from app.services.tasks.capability import DIAGRAMS_UNTRAINED, Capability
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
)

MAX_NODES = 100
MAX_EDGES = 200

Kind = Literal[
    "flowchart", "sequence", "class", "entity_relationship", "network", "architecture",
    "organisation", "tree", "mind_map", "timeline", "other",
]  # fmt: skip


class DiagramParameters(DocumentParameters):
    """An optional question about the diagram."""

    question: Annotated[
        str | None, Field(max_length=2000, description="Answered by `explanation`, if given.")
    ] = None


_KINDS = synonyms(
    flowchart=(
        "flow chart,flow diagram,flow,process,process diagram,process flow,workflow,"
        "flussdiagramm,organigramme de flux"
    ),
    sequence="sequence diagram,sequenzdiagramm",
    **{"class": "class diagram,uml class diagram,uml,klassendiagramm"},
    entity_relationship="er,erd,er diagram,entity relationship diagram,database schema,data model",
    network="network diagram,topology,network topology,netzwerk,netzwerkdiagramm,graph",
    architecture=(
        "architecture diagram,system architecture,system,system diagram,block diagram,"
        "component diagram"
    ),
    organisation=(
        "organization,org chart,organisation chart,organization chart,organizational chart,"
        "organigram,organigramm"
    ),
    tree="tree diagram,hierarchy,decision tree,family tree,baum,baumdiagramm",
    mind_map="mindmap,mind map diagram,concept map",
    timeline="time line,gantt,gantt chart,zeitstrahl",
    other="other diagram,unknown",
)


class Node(ModelPart):
    """A box or symbol."""

    aliases: ClassVar[dict[str, str]] = {
        "label": "name", "text": "name", "title": "name", "words": "name",
    }  # fmt: skip

    name: Annotated[Text, Field(min_length=1, max_length=200, description="the words in it")]

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - any value
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and (inner := value.get("children")):
            if not notes_of(info).lenient and isinstance(inner, list):
                raise ValueError("has nodes within it; write all nodes in one list, with edges")
            notes_of(info).say("entries_left_out", "Nodes within others are left out.")
        if isinstance(value, dict) and "id" in value and not set(cls.spelt(value)) & {"name"}:
            return {**value, "name": value["id"]}
        return value


_ARROW = re.compile(r"-{1,3}>|=>|→")


class Edge(ModelPart):
    """A line or arrow."""

    model_config = ConfigDict(populate_by_name=True)
    aliases: ClassVar[dict[str, str]] = {
        "source": "from", "start": "from", "target": "to", "end": "to",
        "label": "words", "text": "words",
    }  # fmt: skip

    source: Annotated[Text, Field(alias="from", description="name of a node")]
    target: Annotated[Text, Field(alias="to", description="name of a node")]
    words: Annotated[Nullable[Text], Field(description="written beside the line")] = None

    @model_validator(mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Convert ``["A", "B"]`` to an edge from A to B; a third entry is its label."""
        if isinstance(value, list) and 2 <= len(value) <= 3:
            return dict(zip(("from", "to", "words"), value, strict=False))
        if isinstance(value, str) and len(ends := _ARROW.split(value)) == 2:
            return {"from": ends[0].strip(), "to": ends[1].strip()}
        return value


def _names_by_id(nodes: list[Any]) -> dict[str, str]:
    """Map the nodes' ids to names, with a number added to names that occur several times.

    The result is empty unless every node has a unique id that is not another node's name.
    """
    if not all(isinstance(node, dict) and {"id", "name"} <= set(node) for node in nodes):
        return {}
    ids, names = [str(node["id"]) for node in nodes], [str(node["name"]) for node in nodes]
    if len(set(ids)) < len(ids) or set(ids) & set(names):
        return {}
    times, seen = Counter(names), Counter[str]()
    for node, name in zip(nodes, names, strict=True):
        seen[name] += 1
        node["name"] = f"{name} ({seen[name]})" if times[name] > 1 else name
    return {own: node["name"] for own, node in zip(ids, nodes, strict=True)}


class DiagramAnswer(ModelAnswer):
    """The form of the model's answer."""

    aliases: ClassVar[dict[str, str]] = {"type": "kind", "diagramtype": "kind"}
    spared: ClassVar[frozenset[str]] = frozenset({"edges", "explanation"})
    spoken: ClassVar[tuple[str, ...]] = ("explanation",)

    kind: Annotated[Kind, word(_KINDS, kind="diagram", other="other")]
    nodes: Annotated[Listed[Node], Field(max_length=MAX_NODES), trimmed(MAX_NODES, "nodes")]
    edges: Annotated[Listed[Edge], Field(max_length=MAX_EDGES), trimmed(MAX_EDGES, "edges")]
    explanation: Annotated[SparedText, Field(description="one to three sentences")]

    @model_validator(mode="before")
    @classmethod
    def _ids(cls, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Replace node ids in edges by the nodes' names."""
        if not isinstance(value, dict) or not isinstance(value.get("nodes"), list):
            return value
        nodes = [Node.spelt(node) if isinstance(node, dict) else node for node in value["nodes"]]
        names = _names_by_id(nodes)
        if not names or not isinstance(value.get("edges"), list):
            return value
        edges = [Edge.spelt(edge) if isinstance(edge, dict) else edge for edge in value["edges"]]
        for edge in edges:
            if isinstance(edge, dict):
                ends = {end: edge[end] for end in ("from", "to") if end in edge}
                edge.update({end: names.get(str(name), name) for end, name in ends.items()})
        return {**value, "nodes": nodes, "edges": edges}

    @model_validator(mode="after")
    def _edges_end_at_nodes(self, info: ValidationInfo) -> Self:
        notes = notes_of(info)
        names = Counter(node.name for node in self.nodes)
        twice = [name for name, count in names.items() if count > 1]
        if twice and not notes.lenient:
            raise ValueError("two nodes have one name; add a number to it")
        by_fold = Counter(folded(name) for name in names)
        known = {folded(name): name for name in names if by_fold[folded(name)] == 1}
        for edge in self.edges:
            edge.source = (
                edge.source if edge.source in names else known.get(folded(edge.source), edge.source)
            )
            edge.target = (
                edge.target if edge.target in names else known.get(folded(edge.target), edge.target)
            )
        loose = {end for edge in self.edges for end in (edge.source, edge.target)} - set(names)
        if loose and not (notes.lenient or notes.cut):
            raise ValueError(f"edges name nodes that are not there: {', '.join(sorted(loose))}")
        if loose or twice:
            self._without(loose | set(twice), twice, info)
        return self

    def _without(self, unclear: set[str], twice: list[str], info: ValidationInfo) -> None:
        """Remove edges with ambiguous ends, and number nodes with the same name."""
        kept = [edge for edge in self.edges if not {edge.source, edge.target} & unclear]
        if len(kept) < len(self.edges):
            notes_of(info).say(
                "entries_left_out",
                f"{len(self.edges) - len(kept)} edges are left out: their nodes are ambiguous.",
            )
        self.edges = kept
        seen: Counter[str] = Counter()
        for node in self.nodes:
            if node.name in twice:
                seen[node.name] += 1
                node.name = f"{node.name} ({seen[node.name]})"


class NodeOut(DeferredModel):
    """A box or symbol."""

    id: str
    label: str


class EdgeOut(DeferredModel):
    """A line or arrow between two nodes."""

    source: str
    target: str
    label: str | None


class DiagramData(DeferredModel):
    """A diagram's structure."""

    kind: Kind
    nodes: list[NodeOut]
    edges: Annotated[list[EdgeOut], Field(description="Both ends are ids of nodes.")]
    explanation: Annotated[
        str | None,
        Field(
            description="The answer, if a question was given. Null if the model's answer was cut "
            "off before it."
        ),
    ]
    mermaid: Annotated[
        str | None, Field(description="A Mermaid flowchart; null if nothing is connected.")
    ]


class DiagramPage(PageReport):
    """The diagram on one page."""

    diagram: Annotated[DiagramData | None, Field(description="Null if none could be read.")]


class DiagramResult(Result, DiagramData):
    """The structure of all pages together; nodes with the same name are one node."""

    conflicts: Annotated[list[Conflict], Field(description="Where pages disagree: `kind`.")]
    pages: Annotated[list[DiagramPage], Field(description="The diagram on each page or picture.")]


def questions(
    parameters: DiagramParameters, shots: int, _able: Capabilities
) -> Sequence[Question[DiagramAnswer]]:
    """Return one question for each picture, page or tile."""
    form = Model(DiagramAnswer)
    question = parameters.question
    text = prompt("diagram").filled(
        question=f" The explanation answers this: {fenced('question', question)}"
        if question
        else ""
    )
    return [Question(text, form, (shot,)) for shot in range(shots)]


PagedAnswer = tuple[PageFacts, DiagramAnswer]


def conclude(_: DiagramParameters, findings: Sequence[Finding[DiagramAnswer]]) -> DiagramResult:
    """Return the structure of all pages, with Mermaid text."""
    paged_answers, pages = [], []
    for page in by_page(findings):
        answers: list[PagedAnswer] = [
            (PageFacts(**facts(page)), f.answer) for f in page if f.answer
        ]
        paged_answers += answers
        diagram = _united(answers)[0] if answers else None
        pages.append(DiagramPage(**report(page), diagram=diagram))
    diagram, conflicts = _united(paged_answers)
    return DiagramResult(**dict(diagram), conflicts=conflicts, pages=pages)


def _united(paged_answers: Sequence[PagedAnswer]) -> tuple[DiagramData, list[Conflict]]:
    answers = [answer for _, answer in paged_answers]
    kind, conflicts = settled("kind", [(where, answer.kind) for where, answer in paged_answers])
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
        explanation=" ".join(dict.fromkeys(a.explanation for a in answers if a.explanation))
        or None,
        mermaid=mermaid(nodes, edges) if edges else None,
    )
    return data, conflicts


def mermaid(nodes: Sequence[NodeOut], edges: Sequence[EdgeOut]) -> str:
    """Return a flowchart with generated ids, so that words of the picture can't become syntax."""
    return "\n".join(("flowchart TD", *_lines(nodes, edges)))


def _lines(nodes: Sequence[NodeOut], edges: Sequence[EdgeOut]) -> Iterator[str]:
    for node in nodes:
        yield f"    {node.id}[{_quoted(node.label)}]"
    for edge in edges:
        label = f"|{_quoted(edge.label)}|" if edge.label else ""
        yield f"    {edge.source} -->{label} {edge.target}"


def _quoted(text: str) -> str:
    # Uses Mermaid's own entity codes, since Mermaid treats a label as HTML.
    escaped = text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;")
    return '"' + " ".join(escaped.replace(">", "#gt;").split()) + '"'


DIAGRAM = Task(
    name="diagram",
    summary="Read the structure of a diagram",
    description="Nodes, edges and an explanation, with Mermaid text if things are connected. "
    "Takes PDFs and several pages, too: nodes with the same name are one node.",
    parameters=DiagramParameters,
    result=DiagramResult,
    questions=questions,
    conclude=conclude,
    capability=Capability(
        basis="AI2D 91.1 (multiple choice): questions, not whole structures.",
        untrained=("all nodes and edges",),
    ),
    cautions=lambda *_: (DIAGRAMS_UNTRAINED,),
    images=Images(most=20, documents=True),
    sampling=LISTING,
    language="Write the explanation in $language; copy the words of the diagram as they are.",
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
                    "warnings": [],
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
