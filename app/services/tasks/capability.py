"""The model's measured abilities in each task, and the outputs that no measurement covers.

Source: Meta's model card (``MODEL_CARD_VISION.md`` of llama-models) for the 11B Instruct model.
"""

from dataclasses import dataclass

from app.domain.image import AnswerWarning


@dataclass(frozen=True, slots=True)
class Capability:
    """The evidence for a task's quality."""

    basis: str
    """The measurement closest to the task, or the statement that there is none."""
    untrained: tuple[str, ...] = ()
    """The outputs of the task that no measurement covers."""
    languages: tuple[str, ...] = ("en",)
    """Languages that Meta supports for questions, answers and words in pictures."""


BOXES_UNTRAINED = AnswerWarning(
    "boxes_untrained",
    "The model was not trained to say where things are: its boxes are hints, and no measurement "
    "of them is published.",
)
LINE_ITEMS_UNTRAINED = AnswerWarning(
    "line_items_untrained",
    "Lists of objects, such as an invoice's lines, go beyond what the model was measured on: "
    "check their number and every amount.",
)
TABLES_UNTRAINED = AnswerWarning(
    "tables_untrained",
    "Whole tables go beyond what the model was measured on: check the cells.",
)
CHART_VALUES_UNTRAINED = AnswerWarning(
    "chart_values_untrained",
    "The model was measured on questions about charts, not on reading all their values: check the "
    "numbers.",
)
DIAGRAMS_UNTRAINED = AnswerWarning(
    "diagrams_untrained",
    "The model was measured on multiple choice about diagrams, not on whole ones: check that no "
    "node and no edge is missing.",
)
DEFECTS_UNTRAINED = AnswerWarning(
    "defects_untrained",
    "No measurement of finding defects with this model is published: it may overlook some and see "
    "others that are none.",
)
SCORES_UNTRAINED = AnswerWarning(
    "scores_untrained",
    "The model was not trained to score: the order tells more than the numbers, which are not "
    "calibrated.",
)
DIFFERENCES_UNTRAINED = AnswerWarning(
    "differences_untrained",
    "The model was not measured on comparing pictures, and may overlook small differences.",
)
