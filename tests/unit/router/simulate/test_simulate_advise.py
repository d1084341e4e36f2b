from __future__ import annotations

from pathlib import Path

from router.assign.policy import Policy, QueuePolicy
from router.simulate.advise import advise, lessons, taught
from router.simulate.day import Spread
from router.simulate.pair import Solver
from router.simulate.run import Candidate
from router.simulate.world import Crew, Stream, World
from tests.simulated_days import never

HANDLING = Spread(mean_s=200)


def world() -> World:
    """Many ask for French, which one has; some for Greek, which nobody lacks but the idle crew."""

    def stream(skill: str, per_hour: float) -> Stream:
        return Stream(queue="line", per_hour=per_hour, handling=HANDLING, skills={skill: 2})

    def crew(count: int, **skills: int) -> Crew:
        return Crew(count=count, queues=("line",), channels={"chat": 1}, skills=skills)

    return World(
        from_="08:00",
        to="10:00",
        streams={"french": stream("french", 25), "greek": stream("greek", 15)},
        crews={"one": crew(1, french=3), "three": crew(3, greek=2), "bots": Crew(
            count=1, kind="bot", queues=("other",), channels={"chat": 1}
        )},
    )  # fmt: skip


def test_lessons_are_what_people_lack() -> None:
    assert set(lessons(world())) == {("one", "greek", 2), ("three", "french", 2)}


def test_one_of_a_crew_is_taught_and_the_others_stay() -> None:
    after = taught(world(), "three", "french", 2)
    assert {name: (crew.count, dict(crew.skills)) for name, crew in after.crews.items() if crew.kind == "agent"} == {
        "one": (1, {"french": 3}),
        "three": (2, {"greek": 2}),
        "three_taught": (1, {"greek": 2, "french": 2}),
    }
    alone = taught(world(), "one", "greek", 2)
    assert "one" not in alone.crews
    assert alone.crews["one_taught"].skills == {"french": 3, "greek": 2}


def test_the_lesson_that_shortens_waits_comes_first() -> None:
    policy = Policy(queues={"line": QueuePolicy(), "other": QueuePolicy()})
    done: list[int] = []
    candidate = Candidate("now", policy, Solver(policy, Path()))
    first, second = advise(world(), candidate, never, range(6), lambda number, _: done.append(number))
    assert (first.crew, first.skill) == ("three", "french")
    assert first.asa_s is not None
    assert first.asa_s.high is not None
    assert first.asa_s.high < 0 < first.service_level.mean
    assert second.asa_s is not None
    assert second.asa_s.mean > first.asa_s.mean
    assert done == [0, 1, 2]


def test_who_was_not_taught_lacks_it_still() -> None:
    after = taught(taught(world(), "one", "greek", 2), "three", "french", 2)
    assert list(lessons(after)) == [("three", "french", 2)]
