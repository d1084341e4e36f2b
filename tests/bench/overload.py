"""What Takt does with more than it can do: `python -m tests.bench.overload [--only PART …] [--quick] [--json]`.

    load       attainment, quality and waste from half of C to four times C
    rivals     misses at twice C against B0 to B3 (tests/bench/baselines.py)
    critical   critical requests while sheddable traffic grows twelvefold, and the history checked
    recovery   after 10 s of ten times the traffic, from clients that retry
    faults     the fault matrix at 0.7 C
    coverage   of the predictor of `large`, steady and after it has become half as quick

E is the usual time (p50) of the rung `large` over HTTP on an idle server, C the highest Poisson rate at which it alone
answers 99 % within 10 E (as MLPerf's server scenario); both are measured first. Budgets are 5 E. The server has core 0
and the generator core 1, so the machine should have nothing else to do. Runs that are invalid after three tries are
shown with a `-`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from tests.bench import (
    overload_coverage,
    overload_critical,
    overload_faults,
    overload_load,
    overload_recovery,
    overload_rivals,
    report,
)
from tests.bench.overload_bank import qualities, require_large
from tests.bench.overload_numbers import Units, calibrate
from tests.bench.server_process import pin_generator

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

_PARTS: dict[str, Callable[[Bench], object]] = {
    "load": overload_load.measure,
    "rivals": overload_rivals.measure,
    "critical": overload_critical.measure,
    "recovery": overload_recovery.measure,
    "faults": overload_faults.measure,
    "coverage": overload_coverage.measure,
}
# Sizes of a run, and of one that only shows that everything works.
_SIZES = {
    "calibrate_s": (10.0, 2.0),  # of each step
    "calibrate_steps": (6, 3),
    "warm_up_s": (3.0, 1.0),  # of a new server: its first seconds know only the lag of its start
    "seconds": (12.0, 2.0),  # of a load, at least
    "requests": (3_000, 150),
    "turn_s": (6.0, 1.5),
    "seeds": (5, 1),
    "spike_s": (10.0, 2.0),
    "spikes": (3, 1),
    "before_s": (4.0, 1.5),  # of a fault or a spike, and after it
    "fault_s": (5.0, 1.0),
    "after_s": (7.0, 2.0),
    "batches": (1_000, 100),
}


class Bench:
    """What all parts share: the arguments with their sizes, the units, and what each rung is worth."""

    def __init__(self, given: Namespace) -> None:
        self.given = given
        self._began_s = time.monotonic()
        self.qualities = qualities()
        self.units: Units = calibrate(given)

    def pace(self, label: str) -> None:
        report.pace(label, self._began_s)


def main() -> None:
    """Calibrates, then measures part after part; a JSON for each."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--only", nargs="+", choices=tuple(_PARTS), default=tuple(_PARTS))
    arguments.add_argument("--quick", action="store_true", help="small sizes, to try it out: its verdicts mean nothing")
    arguments.add_argument("--lag-ms", type=float, default=1.0, help="p99 of the generator's lag beyond which a run is "
                           "invalid (default: 1)")  # fmt: skip
    for name, (usual, _) in _SIZES.items():
        arguments.add_argument(f"--{name.replace('_', '-')}", type=type(usual), help=f"default: {usual:g}")
    given = arguments.parse_args()
    for name, sizes in _SIZES.items():
        if getattr(given, name) is None:
            setattr(given, name, sizes[given.quick])
    require_large()
    pin_generator()
    bench = Bench(given)
    units = bench.units
    bench.pace(f"E = {units.e_ms:.2f} ms, C = {units.c:.0f}/s, budgets {units.budget_ms:.1f} ms; worth "
               + ", ".join(f"{rung} {worth:.3f}" for rung, worth in bench.qualities.items()))  # fmt: skip
    for name in given.only:
        print(f"\n{name}", flush=True)
        result = {"units": units, "qualities": bench.qualities, name: _PARTS[name](bench)}
        report.write_json(f"overload_{name}", given, msgspec.to_builtins(result))
        bench.pace(f"{name} done")


if __name__ == "__main__":
    main()
