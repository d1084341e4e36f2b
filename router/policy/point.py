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
    from collections.abc import Callable, Collection

    from budgets.deadline import BudgetSettings
    from models.classifier import Prediction
    from models.columns import Column, Value
    from router.domain.decision import Target
    from router.domain.interaction import Interaction
    from router.policy.project import GuardSpec, Project

# Guards, rules and conditions see this much of a text; models see less.
MAX_READ_CHARS = 2_048
# What a condition may name. QUEUES: what waits where, only where there are queues.
VARIABLES = ("text", "channel", "customer_id", "session_id", "context", "criticality", "budget_ms")
QUEUES = "queues"


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
    key: str = ""  # its Idempotency-Key, and a hash of what it asked under it
    digest: bytes = b""
    is_question: bool = False  # it wants to know, and creates no task
    queues: Callable[[], dict[str, Any]] | None = None  # what a condition may name of them: state of the queues now

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
            case "queues":
                return {} if self.queues is None else self.queues()
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
    queues: tuple[str, ...] = ()  # those whose state guards and rules name
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


def build_point(name: str, project: Project, budget: BudgetSettings, queues: Collection[str] = ()) -> Point:
    """Compile a project's routes and rules, whose conditions may name the state of `queues`.

    Raises: PolicyError naming the rule and what is wrong with it.
    """
    guards = [_compile("guards", spec, 1.0, queues) for spec in project.rules.guards]
    rules = [_compile("rules", spec, spec.confidence, queues) for spec in project.rules.rules]
    return Point(
        name=name,
        targets={route: spec.target for route, spec in project.routes.routes.items()},
        guards=RuleBook(guards),
        rules=RuleBook(rules),
        default=project.routes.default,
        unsure=project.routes.unsure,
        budget=budget,
        queues=tuple(sorted({queue for rule in (*guards, *rules) for queue in _queues_of(rule, queues)})),
    )


def _queues_of(rule: Rule[Callable[[str], Any], Verdict], queues: Collection[str]) -> Collection[str]:
    """The queues whose state a rule reads: those it names one by one, else all."""
    if not isinstance(rule.when, Expression):
        return ()
    named = rule.when.fields_of(QUEUES)
    return queues if named is None else named


def _compile(
    kind: str, spec: GuardSpec, confidence: float, queues: Collection[str]
) -> Rule[Callable[[str], Any], Verdict]:
    where = f"[[{kind}]] {spec.name}"
    try:
        when = None if spec.when is None else _condition(spec.when, queues)
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


def _condition(source: str, queues: Collection[str]) -> Expression:
    """Raises: ExpressionError."""
    condition = Expression(source, (*VARIABLES, QUEUES) if queues else VARIABLES)
    if unknown := sorted((condition.fields_of(QUEUES) or set()) - set(queues)):
        raise ExpressionError(f"`{source}` names {QUEUES}.{unknown[0]}; the queues are {', '.join(sorted(queues))}")
    return condition
