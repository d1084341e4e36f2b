"""A decision point: what can be decided, and everything that decides it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from fallbacks.ladder import Rung
from fallbacks.rules import Rule, RuleBook
from models.features import normalise, words
from models.inputs import Question
from router.domain.decision import Decision, Reason
from router.policy.column import values_of
from router.policy.errors import ExpressionError, PolicyError
from router.policy.expression import Expression

if TYPE_CHECKING:
    from collections.abc import Callable

    from budgets.deadline import BudgetSettings
    from models.classifier import Prediction
    from models.columns import Column, Value
    from router.domain.decision import Target
    from router.domain.interaction import Interaction
    from router.policy.project import GuardSpec, Project

# Guards, rules and conditions see this much of a text; models see less.
MAX_READ_CHARS = 2_048
# What a condition may name.
VARIABLES = ("text", "channel", "customer_id", "session_id", "context", "criticality", "budget_ms")


class Verdict(NamedTuple):
    """What a guard or a rule answers."""

    route: str
    confidence: float


@dataclass(slots=True)
class ModelRung(Rung[Question, "Prediction"]):
    """A rung that reads the text. Below `threshold` its route is not taken. `predict` is how it runs inline."""

    predict: Callable[[str, tuple[Value, ...]], Prediction]
    threshold: float


class Plan(NamedTuple):
    """What answers, and the name of it. Replaced as one: a decision keeps to the plan that it began with."""

    version: str = ""
    rungs: tuple[ModelRung, ...] = ()  # the best first; none until the models are loaded
    columns: tuple[Column, ...] = ()  # read of an interaction; the rungs are fed the first `fed`, the others are logged
    fed: int = 0


COLD = Plan()


@dataclass(slots=True)
class Request:
    """One interaction as the pipeline sees it. `read` comes after admission: who is turned away costs no reading."""

    interaction: Interaction
    budget_ms: float
    trace_id: str | None = None
    text: str = ""  # normalised
    words: list[str] = field(default_factory=list)  # of the text, without punctuation
    values: tuple[Value, ...] = ()  # of the plan's columns
    caller: str | None = None  # by whose key it came; router/http/callers.py

    def read(self, columns: tuple[Column, ...], at_ns: int) -> None:
        """Read the beginning of the text, as much as decides anything, and what is known beside it at `at_ns` (UTC)."""
        self.text = normalise(self.interaction.text[:MAX_READ_CHARS])[:MAX_READ_CHARS]
        self.words = words(self.text)
        if columns:
            self.values = values_of(columns, self.interaction, at_ns)

    def fact(self, name: str) -> Any:  # noqa: ANN401 - as varied as what a client sends
        """The value of one of `VARIABLES`."""
        match name:
            case "text":
                return self.text
            case "criticality":
                return self.interaction.criticality.value
            case "budget_ms":
                return self.budget_ms
            case _:
                return getattr(self.interaction, name)


@dataclass(slots=True)
class Point:
    """Actions, guards, rules, default and ladder."""

    name: str
    targets: dict[str, Target]
    guards: RuleBook[Callable[[str], Any], Verdict]
    rules: RuleBook[Callable[[str], Any], Verdict]
    default: str
    unsure: str
    budget: BudgetSettings
    plan: Plan = COLD

    def read(self, prediction: Prediction, threshold: float, rung: str, reason: Reason) -> Decision:
        """A prediction as a decision: below its threshold, or out of scope, the `unsure` route takes it."""
        label, confidence, others = prediction.label, prediction.confidence, prediction.alternatives
        is_sure = confidence >= threshold and label in self.targets
        seen = others if is_sure else ((label, confidence), *others)
        alternatives = tuple(each for each in seen if each[0] in self.targets)
        if is_sure:
            return Decision(label, rung, reason, confidence, alternatives)
        return Decision(self.unsure, rung, Reason.UNSURE, confidence, alternatives)


def build_point(name: str, project: Project, budget: BudgetSettings) -> Point:
    """Compile a project's routes and rules. Raises: PolicyError naming the rule and what is wrong with it."""
    return Point(
        name=name,
        targets={route: spec.target for route, spec in project.routes.routes.items()},
        guards=RuleBook([_compile("guards", spec, confidence=1.0) for spec in project.rules.guards]),
        rules=RuleBook([_compile("rules", spec, confidence=spec.confidence) for spec in project.rules.rules]),
        default=project.routes.default,
        unsure=project.routes.unsure,
        budget=budget,
    )


def _compile(kind: str, spec: GuardSpec, confidence: float) -> Rule[Callable[[str], Any], Verdict]:
    where = f"[[{kind}]] {spec.name}"
    try:
        when = None if spec.when is None else Expression(spec.when, VARIABLES)
    except ExpressionError as error:
        raise PolicyError(f"{where}: when: {error}") from None
    keywords = []
    for keyword in spec.keywords:
        phrase = " ".join(words(normalise(keyword.rstrip("*"))))
        if "*" in keyword[:-1]:
            raise PolicyError(f"{where}: keywords: {keyword!r}: a `*` may only stand at the end")
        if not phrase:
            raise PolicyError(f"{where}: keywords: {keyword!r} has no letters")
        keywords.append(phrase + "*" * keyword.endswith("*"))
    return Rule(spec.name, Verdict(spec.route, confidence), tuple(keywords), when)
