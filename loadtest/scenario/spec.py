"""A scenario: what is sent where and when, what is broken meanwhile, and what must hold. The file's exact shape."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from loadtest.quantity import MS, Ns, S

Rate = Annotated[float, Meta(gt=0, le=1_000_000, description="requests per second")]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Weights = dict[str, Annotated[float, Meta(gt=0)]]


def _default(ns: int) -> Any:  # noqa: ANN401 - as msgspec.field
    """A default time. By a factory: msgspec.json.schema can't write an `Ns` (schema.py does)."""
    return msgspec.field(default_factory=partial(Ns, ns))


class Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of the file. A key that it does not know is an error."""


class TargetSpec(Spec, frozen=True, kw_only=True):
    """Where requests go."""

    url: str = "http://127.0.0.1:8080"
    path: str = "/v1/interactions"
    start: Annotated[str | None, Meta(description="command that starts the server; it is stopped in the end")] = None
    ready: Annotated[str, Meta(description="path that answers 200 once the server may be asked")] = "/readyz"
    connections: Annotated[int, Meta(ge=1, le=8_192, description="keep-alive connections, all workers together")] = 64
    timeout: Annotated[Ns, Meta(description="after this, counted from the intended time, the client hangs up")] = (
        _default(10 * S)
    )
    headers: dict[str, str] = {}
    answers: Annotated[
        Literal["takt", "any"],
        Meta(description="`takt`: a 200 without route and rung is an error; `any`: bodies are not read"),
    ] = "takt"


class PayloadSpec(Spec, frozen=True, kw_only=True):
    """What is sent: rows of a CSV (its text column), or objects of a JSONL file, as they are."""

    from_: Annotated[
        str | None, Meta(description="file, relative to the scenario's; none: sentences that come with Takt")
    ] = msgspec.field(default=None, name="from")
    text_column: str = "text"
    label: Annotated[str | None, Meta(description="column or key of the right route; gives accuracy")] = "route"
    sample: Annotated[str, Meta(description="`uniform`, `sequential` or `zipf(1.1)`")] = "uniform"
    fresh: Annotated[bool, Meta(description="add a made-up word to each text, so that no cache knows it")] = False


class BudgetSpec(Spec, frozen=True, kw_only=True):
    """What the client promises to wait."""

    deadline: Annotated[
        str, Meta(description="`50ms`, `20ms:10,50ms:80,200ms:10`, `lognormal(50ms, 0.5)`, `uniform(20ms, 100ms)`")
    ] = "50ms"
    header: str = "X-Request-Timeout-Ms"


class MmppSpec(Spec, frozen=True, kw_only=True):
    """A two-state Markov-modulated Poisson process: a calm crowd that flashes now and then."""

    low: Rate
    high: Rate
    mean_low: Ns
    mean_high: Ns


class TraceSpec(Spec, frozen=True, kw_only=True):
    """Recorded arrivals, a time in seconds a line (or a CSV with a column `at`), replayed."""

    file: str
    speed: Annotated[float, Meta(gt=0)] = 1.0


class ArrivalsSpec(Spec, frozen=True, kw_only=True):
    """Exactly one of them."""

    mmpp: MmppSpec | None = None
    trace: TraceSpec | None = None


class DiurnalSpec(Spec, frozen=True, kw_only=True):
    """A day in short: a sine between two rates that begins at the low one."""

    low: Rate
    high: Rate
    period: Ns


class RateSpec(Spec, frozen=True, kw_only=True):
    """A rate that changes. Exactly one of them."""

    ramp: tuple[Rate, Rate] | None = None
    diurnal: DiurnalSpec | None = None


class PhaseSpec(Spec, frozen=True, kw_only=True):
    """A part of the run with its own arrivals."""

    name: Name
    arrivals: Annotated[
        str | ArrivalsSpec, Meta(description="`constant`, `poisson`, `gamma:0.5` (shape), {mmpp: …} or {trace: …}")
    ] = "poisson"
    rate: Annotated[
        Rate | list[Rate] | RateSpec | None,
        Meta(description="a number; a list: equal steps; {ramp: [from, to]}; {diurnal: …}; none with mmpp and trace"),
    ] = None
    for_: Ns = msgspec.field(name="for")
    measure: Annotated[bool, Meta(description="false: warm-up, in no number and no gate")] = True


class FaultSpec(Spec, frozen=True, kw_only=True):
    """Something that is broken from `at` on, `for` so long."""

    at: Annotated[Ns, Meta(description="from the start of the first phase")]
    for_: Ns = msgspec.field(name="for")
    kind: Annotated[
        Literal["server", "sigstop", "proxy"],
        Meta(
            description="`server`: PUT /v1/admin/faults; `sigstop`: freezes the server, which `target.start` started;"
            " `proxy`: between generator and server"
        ),
    ]
    set: Annotated[dict[str, Any], Meta(description="server: its faults; proxy: latency_ms, jitter_ms, …")] = {}


class GateSpec(Spec, frozen=True, kw_only=True):
    """What must hold, e.g. `attainment(50ms) >= 0.99 and shed_rate <= 0.02`."""

    expr: str
    on: Annotated[str, Meta(description="name of a phase, or `all` that are measured")] = "all"
    confidence: Annotated[float, Meta(ge=0.5, lt=1)] = 0.99


class ValiditySpec(Spec, frozen=True, kw_only=True):
    """Beyond these limits of the generator itself, the run is invalid."""

    lag_p99: Ns = _default(2 * MS)
    send_rate: Share = 0.99
    max_generator_cpu: Annotated[Share, Meta(description="share of a core, spinning before a send not counted")] = 0.85


class QualitySpec(Spec, frozen=True, kw_only=True):
    """Degraded answers are asked for again after the run, at zero load, and compared."""

    replay: Annotated[int, Meta(ge=0, le=5_000, description="how many of each rung; 0: none")] = 0
    budget: Annotated[Ns, Meta(description="of the repeated requests")] = _default(1 * S)


class AgentsSpec(Spec, frozen=True, kw_only=True):
    """People who are simulated beside the load: they sign in, accept what they are offered, talk, and complete it."""

    count: Annotated[int, Meta(ge=1, le=2_000)]
    arrive: Annotated[Ns, Meta(description="from the first sign-in, at the start, to the last")] = _default(30 * S)
    reaction: Annotated[Ns, Meta(description="from an offer to its accept, in the mean (exponential)")] = _default(
        2 * S
    )
    handling: Annotated[Ns, Meta(description="of a talk, in the mean (exponential)")] = _default(20 * S)
    capacity: Annotated[int, Meta(ge=1, le=1_000, description="weight that one may hold")] = 6
    queues: Annotated[tuple[str, ...], Meta(description="none: all that the server has")] = ()
    skills: Annotated[dict[str, Annotated[int, Meta(ge=1, le=5)]], Meta(description="none: all, at 5")] = {}
    channels: Annotated[tuple[str, ...], Meta(min_length=1)] = ("chat", "email", "voice")


class Scenario(Spec, frozen=True, kw_only=True):
    """The file."""

    schema: Literal["loadtest/1"] = "loadtest/1"
    name: Name
    description: str = ""
    seed: Annotated[int, Meta(ge=0)] = 1
    target: TargetSpec = msgspec.field(default_factory=TargetSpec)
    payload: PayloadSpec = PayloadSpec()
    budget: BudgetSpec = BudgetSpec()
    mix: Annotated[Weights, Meta(description="channels and their weights; none: all are `chat`")] = {}
    criticality: Annotated[Weights, Meta(description="criticalities and their weights; none: not said")] = {}
    phases: Annotated[list[PhaseSpec], Meta(min_length=1, max_length=200)]
    agents: Annotated[AgentsSpec | None, Meta(description="none: nobody takes what comes into queues")] = None
    faults: Annotated[list[FaultSpec], Meta(max_length=100)] = []
    gates: Annotated[list[GateSpec], Meta(max_length=100)] = []
    validity: ValiditySpec = msgspec.field(default_factory=ValiditySpec)
    quality: QualitySpec = msgspec.field(default_factory=QualitySpec)
