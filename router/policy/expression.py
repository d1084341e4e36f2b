"""Conditions in CEL, the Common Expression Language; the only importer of `cel`.

CEL has no loops but the comprehension macros, no side effects and no access to the machine. What could still make an
expression slow is bounded here, at compile time: its length, its nesting, and comprehensions within comprehensions
(each is linear in a list that a client may send).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import cel

from router.policy.errors import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FUNCTIONS = frozenset(
    "size contains startsWith endsWith matches type dyn int uint double string bytes timestamp duration getFullYear "
    "getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear getHours getMinutes getSeconds getMilliseconds".split()
)
MAX_CHARS = 2_000
MAX_DEPTH = 32
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")


class Expression:
    """A compiled condition over named variables. `holds` never raises: what can't be evaluated does not hold."""

    __slots__ = ("_program", "_variables", "errors_total", "last_error", "source")

    def __init__(self, source: str, variables: Iterable[str]) -> None:
        """Compile. Raises: ExpressionError saying what is wrong and what is allowed."""
        _check_bounds(source)
        allowed = sorted(variables)
        try:
            self._program = cel.compile(source)
            references, functions = self._program.variables(), self._program.functions()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            # The parser panics on some inputs, with an exception outside `Exception`.
            why = next(iter(str(error).splitlines()), type(error).__name__)
            raise ExpressionError(f"`{source}` is not CEL: {why}") from None
        bound = set(re.findall(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(\w+)", _STRING.sub('""', source)))
        unknown = sorted(set(references) - set(allowed) - bound)
        if unknown:
            raise ExpressionError(f"`{source}` names {', '.join(unknown)}; the variables are {', '.join(allowed)}")
        # A function that does not exist would compile, and the condition would never hold; operators hold a `_` or `@`.
        misspelt = [name for name in functions if name not in FUNCTIONS and not {"_", "@"} & set(name)]
        if misspelt:
            raise ExpressionError(f"`{source}` calls {', '.join(misspelt)}; there are {', '.join(sorted(FUNCTIONS))}")
        self._variables = tuple(name for name in allowed if name in references)
        self.source = source
        self.errors_total = 0
        self.last_error = ""

    def holds(self, subject: Callable[[str], Any]) -> bool:
        """Whether the condition is true of a subject, asked only for the variables it names. 1-10 us.

        A missing key, a type that does not fit or a result that is not a boolean: false, counted in `errors_total`.
        """
        try:
            result = self._program.execute({name: subject(name) for name in self._variables})
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            self.errors_total += 1
            self.last_error = str(error)[:200]
            return False
        if result is True or result is False:
            return result
        self.errors_total += 1
        self.last_error = f"gave {type(result).__name__}, not true or false"
        return False


def _check_bounds(source: str) -> None:
    if not source.strip():
        raise ExpressionError("is empty; leave `when` out instead")
    if len(source) > MAX_CHARS:
        raise ExpressionError(f"has {len(source)} characters; at most {MAX_CHARS} are allowed")
    bare = _STRING.sub('""', source)
    if "//" in bare:
        raise ExpressionError("has a comment; the rule's `description` is the place for it")
    depth = deepest = 0
    for char in bare:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise ExpressionError(f"is nested {deepest} deep; at most {MAX_DEPTH} is allowed")
    if len(_MACRO.findall(bare)) > 1:
        raise ExpressionError("uses more than one of all, exists, exists_one, map, filter; split it into two rules")
