"""The assignment engine as a state machine: hypothesis looks for short ways to break an invariant, and shrinks them."""

from __future__ import annotations

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from router.assign.command import Resume, Tick
from tests.simulation import assign_policy
from tests.simulation.assign_command import Commands
from tests.simulation.assign_runner import BEGIN_NS, Checked, Entry, S

_FEW = st.integers(0, 2**32 - 1)


class EngineMachine(RuleBasedStateMachine):
    """Commands of any kind at any time. Everything is checked after every step (`every=1`)."""

    checked: Checked

    @initialize(seed=st.integers(0, 199))
    def begin(self, seed: int) -> None:
        policy = assign_policy.policy(Random(seed))
        self.commands = Commands(Random(seed), policy)
        self.checked = Checked(policy, every=1)
        self.now_ns = BEGIN_NS
        for command in self.commands.opening():
            self._do(command)

    def _do(self, what: object) -> None:
        stepped = self.checked.do(Entry(self.now_ns, what))  # type: ignore[arg-type] # a command or a word
        if stepped is not None:
            self.commands.matchings += stepped.matchings

    @rule(roll=_FEW, times=st.integers(1, 3))
    def say(self, roll: int, times: int) -> None:
        """Some commands at one instant."""
        self.commands._rng = Random(roll)
        for _ in range(times):
            self._tick()
            self._do(self.commands.draw(self.checked.engine.state))

    @rule(roll=_FEW)
    def come(self, roll: int) -> None:
        self.commands._rng = Random(roll)
        self._tick()
        self._do(self.commands._create(self.checked.engine.state))

    @rule(roll=_FEW)
    def accept(self, roll: int) -> None:
        self.commands._rng = Random(roll)
        self._tick()
        self._do(self.commands._accept(self.checked.engine.state))

    @rule(ns=st.sampled_from((1, S // 4, S, 5 * S, 31 * S, 3_600 * S)))
    def wait(self, ns: int) -> None:
        self.now_ns += ns
        self._tick()

    @rule(more_ns=st.sampled_from((-1, 0, 1)))
    def until_the_next_deadline(self, more_ns: int) -> None:
        due_ns = self.checked.engine.due_ns()
        if due_ns is not None:
            self.now_ns = max(self.now_ns, due_ns + more_ns)

    @rule()
    def checkpoint(self) -> None:
        self._do("checkpoint")

    @rule()
    def restart(self) -> None:
        self._do("restart")
        self._do(Resume(epoch=self.checked.engine.state.epoch + 1))

    def _tick(self) -> None:
        engine = self.checked.engine
        while (due_ns := engine.due_ns()) is not None and due_ns <= max(self.now_ns, engine.state.now_ns):
            self._do(Tick())

    def teardown(self) -> None:
        if hasattr(self, "checked"):
            self.checked.replay()


TestEngine = EngineMachine.TestCase
TestEngine.settings = settings(stateful_step_count=30, deadline=None)
