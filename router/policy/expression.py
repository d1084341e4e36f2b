"""Conditions in CEL, the Common Expression Language; the only importer of `cel`.

CEL has no side effects and no access to the machine. What could still make a condition slow is bounded twice: here,
when it is compiled, and by what a client may send (`MAX_READ_CHARS` of a text, `MAX_CONTEXT_VALUES`). The slowest
that were found (a list of 990 strings in 64 kB, read 40 times and by a macro, and a pattern) take 7-11 ms; those that
people write, 1-10 us.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import cel

from router.policy.errors import ExpressionError
from router.policy.syntax import syntax_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_LOGGER = logging.getLogger("takt.policy")
FUNCTIONS = frozenset(
    "size contains startsWith endsWith matches type dyn int uint double string bytes timestamp duration getFullYear "
    "getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear getHours getMinutes getSeconds getMilliseconds".split()
)
MAX_CHARS = 1_000
MAX_DEPTH = 32
MAX_PLUS = 4  # each may copy a text or a list
MAX_BODY_CHARS = 100  # a macro's body runs once for each element
MAX_PATTERN_WEIGHT = 500  # see `_weight`
# As large as a client likes.
_LARGE = frozenset(("context", "text"))
# Dear to get or to convert.
_DEAR = frozenset(("context", "queues"))
_STRING = re.compile(r"[rR](?:\"[^\"]*\"|'[^']*')|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL)
_MACRO = re.compile(r"\.\s*(all|exists|exists_one|existsOne|map|filter)\s*\(\s*(\w*)")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_MATCHES = re.compile(r"\bmatches\s*\(\s*(\"\s*\"\s*\))?")
_PATTERN_TOKEN = re.compile(r"\\[pP](?:\{[^}]*\}|.)|\\.|\{(\d+)(,?)(\d*)\}|\[\^?\]?|.", re.DOTALL)
_JUNCTION = re.compile(r"&&|\|\||\?")
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list", dict: "a table"}
_WEIGHTS = {r"\w": 100, r"\W": 100, r"\p": 100, r"\P": 100, r"\d": 10, r"\D": 10}


class _Part(NamedTuple):
    program: cel.Program
    names: tuple[str, ...]


class Expression:
    """A compiled condition over named variables. `holds` never raises: what can't be evaluated does not hold."""

    __slots__ = ("_bare", "_parts", "errors_total", "last_error", "source")

    def __init__(self, source: str, variables: Iterable[str]) -> None:
        """Compile. Raises: ExpressionError saying what is wrong and what is allowed."""
        bare = _blank_strings(source)
        _check_size(source, bare)
        bound = _check_macro(bare)
        patterns = _patterns(source, bare)
        allowed = sorted(variables)
        whole = _compile(source)
        unknown = sorted(set(whole.variables()) - set(allowed) - bound)
        if unknown:
            raise ExpressionError(f"`{source}` names {', '.join(unknown)}; the variables are {', '.join(allowed)}")
        # A function that does not exist would compile, and the condition would never hold; operators hold a `_` or `@`.
        misspelt = [name for name in whole.functions() if name not in FUNCTIONS and not {"_", "@"} & set(name)]
        if misspelt:
            raise ExpressionError(f"`{source}` calls {', '.join(misspelt)}; there are {', '.join(sorted(FUNCTIONS))}")
        _check_patterns(patterns)
        programs = [_compile(part) for part in _split(source, bare)]
        self._parts = tuple(
            _Part(program, tuple(name for name in allowed if name in program.variables())) for program in programs
        )
        self.source, self._bare = source, bare
        self.errors_total = 0
        self.last_error = ""

    def holds(self, subject: Callable[[str], Any]) -> bool:
        """Whether the condition is true of a subject, asked only for the variables it names. 1-10 us.

        A missing key, a type that does not fit or a result that is not a boolean: false, counted in `errors_total`,
        and the first of them logged.
        """
        failure = ""
        for program, names in self._parts:
            try:
                result = program.execute({name: subject(name) for name in names})
            except BaseException as error:
                if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                    raise
                failure = _why(error)
            else:
                if result is False:  # as in CEL, `false` decides even beside an error
                    return False
                if result is not True:
                    failure = f"gave {type(result).__name__}, not true or false"
        if failure:
            self._count(failure)
        return not failure

    def fields_of(self, variable: str) -> set[str] | None:
        """The keys that the condition names of a map, as `map.key` or `map["key"]`. None: it may read any of them."""
        return _fields(self.source, self._bare, variable)

    def check(self, facts: Mapping[str, Any]) -> None:
        """Refuse what holds of no subject: fields that are not there, types that never go together.

        A term of a top-level `&&` is tried where all of it is evaluated whatever the subject; what may be right for
        another one (a key that is missing here, a number in a text) passes.

        Args: facts: one subject's, with all their fields. An empty map may have any.
        Raises: ExpressionError saying what there is.
        """
        for name, there in facts.items():
            if isinstance(there, dict) and there:
                unknown = sorted((self.fields_of(name) or set()) - there.keys())
                if unknown:
                    said = ", ".join(f"{name}.{field}" for field in unknown)
                    raise ExpressionError(
                        f"`{self.source}` names {said}; the fields of {name} are {', '.join(sorted(there))}"
                    )
        for term, bare in _terms(self.source, self._bare):
            if not _JUNCTION.search(bare) and not _MACRO.search(bare):
                self._try(term, bare, facts)

    def _try(self, term: str, bare: str, facts: Mapping[str, Any]) -> None:
        program = _compile(term)
        names = [name for name in program.variables() if name in facts]
        try:
            result = program.execute({name: facts[name] for name in names})
        except (RuntimeError, TypeError) as error:
            # No overload; of functions, all of which are there, the library says that there is none.
            if isinstance(error, TypeError) or str(error).startswith("Undefined variable or function"):
                kinds = ", ".join(said for name in sorted(names) for said in _kinds(term, bare, name, facts[name]))
                what = f"`{term}` does not go together{f': {kinds}' if kinds else ''}"
                raise ExpressionError(what if term == self.source else f"`{self.source}`: {what}") from None
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
        else:
            if not isinstance(result, bool):
                kind = _KINDS.get(type(result), type(result).__name__)
                raise ExpressionError(f"`{term}` is {kind}, not true or false")

    def _count(self, failure: str) -> None:
        self.errors_total += 1
        self.last_error = failure
        if self.errors_total == 1:
            _LOGGER.warning("condition_failed", extra={"condition": self.source, "why": failure})


def _why(error: BaseException) -> str:
    said = str(error)[:200] or type(error).__name__
    return f"there is no {said}" if isinstance(error, KeyError) else said


def _fields(source: str, bare: str, variable: str) -> set[str] | None:
    named: set[str] = set()
    of_it = re.compile(rf"(?<![\w.]){variable}\b(?:\s*\.\s*(\w+)(?!\w|\s*\()|\s*\[\s*([\"'] *[\"'])\s*\])?")
    for found in of_it.finditer(bare):
        if not found[1] and not found[2]:
            return None
        named.add(found[1] or source[found.start(2) + 1 : found.end(2) - 1])
    return named


def _kinds(source: str, bare: str, variable: str, fact: object) -> list[str]:
    """What those values are that a term names of one variable, in words."""
    fields = _fields(source, bare, variable) if isinstance(fact, dict) and fact else None
    if not isinstance(fact, dict) or not fields:
        return [f"{variable} is {_KINDS[type(fact)]}"]
    return [f"{variable}.{field} is {_KINDS[type(fact[field])]}" for field in sorted(fields)]


def _compile(source: str) -> cel.Program:
    try:
        return cel.compile(source)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        # The parser panics on some inputs, with an exception outside `Exception`.
        raise ExpressionError(syntax_error(source, str(error) or type(error).__name__)) from None


def _blank_strings(source: str) -> str:
    """The source with spaces for what stands in strings, so that brackets and names are those of the code."""
    return _STRING.sub(lambda found: f'"{" " * (len(found[0]) - 2)}"', source)


def _check_size(source: str, bare: str) -> None:
    if not source.strip():
        raise ExpressionError("is empty; leave `when` out instead")
    if len(source) > MAX_CHARS:
        raise ExpressionError(f"has {len(source)} characters; at most {MAX_CHARS} are allowed")
    if '"""' in source or "'''" in source:
        raise ExpressionError("has three quotes in a row; write strings as 'one' or \"two\"")
    if "//" in bare:
        raise ExpressionError("has a comment; the rule's `description` is the place for it")
    depth = deepest = 0
    for char in bare:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise ExpressionError(f"is nested {deepest} deep; at most {MAX_DEPTH} is allowed")
    if bare.count("+") > MAX_PLUS:
        raise ExpressionError(f"has {bare.count('+')} plus signs; at most {MAX_PLUS} are allowed")


def _check_macro(bare: str) -> set[str]:
    """Refuse what is more than linear in a list that a client sends. Returns: the variable that the macro binds.

    One macro, and its body may use its own variable, literals and the variables that are small, in 100 characters.
    """
    macros = list(_MACRO.finditer(bare))
    if not macros:
        return set()
    if len(macros) > 1 or macros[0][1] in {"map", "filter"}:
        raise ExpressionError("may use all, exists or exists_one, once; split it into two rules")
    body = bare[macros[0].end() : _closing(bare, macros[0].end())]
    if len(body) > MAX_BODY_CHARS:
        raise ExpressionError(f"has a macro's body of {len(body)} characters; at most {MAX_BODY_CHARS} are allowed")
    large = sorted({"matches", *_LARGE} & set(re.findall(r"(?<!\w)[A-Za-z_]\w*(?=\s*\()|" + _NAME.pattern, body)))
    if large:
        raise ExpressionError(
            f"uses {', '.join(large)} in a macro, once for each element; allowed there are its own variable, literals "
            "and small variables, as in context.tags.exists(tag, tag in ['gold', channel])"
        )
    return {macros[0][2]}


def _closing(bare: str, start: int) -> int:
    """Where the bracket that was opened before `start` is closed."""
    depth = 1
    for at in range(start, len(bare)):
        depth += (bare[at] in "([{") - (bare[at] in ")]}")
        if depth == 0:
            return at
    return len(bare)


def _terms(source: str, bare: str) -> list[tuple[str, str]]:
    """Those of a top-level `&&`, each with its bare text; the whole where something else is on top."""
    depth, ends, starts = 0, [], [0]
    for at, char in enumerate(bare):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 and (char == "?" or bare.startswith("||", at)):
            return [(source, bare)]
        if depth == 0 and bare.startswith("&&", at):
            ends.append(at)
            starts.append(at + 2)
    spans = zip(starts, [*ends, len(bare)], strict=True)
    return [(source[start:end].strip(), bare[start:end].strip()) for start, end in spans]


def _split(source: str, bare: str) -> list[str]:
    """The terms of a top-level `&&`: those of what costs next to nothing, and those of what is dear."""
    cheap: list[str] = []
    dear: list[str] = []
    for term, bare_term in _terms(source, bare):
        (dear if _DEAR.intersection(_NAME.findall(bare_term)) else cheap).append(term)
    return [" && ".join(terms) for terms in (cheap, dear) if terms]


def _patterns(source: str, bare: str) -> list[str]:
    """The literals that are given to `matches`: it compiles its pattern anew each time, so that must be a small one."""
    patterns = []
    for found in _MATCHES.finditer(bare):
        if found[1] is None:
            raise ExpressionError("calls matches without a literal pattern; allowed is text.matches('card [0-9]+')")
        quoted = source[found.start(1) : found.end(1)].removesuffix(")").rstrip()
        patterns.append(quoted)
    return patterns


def _check_patterns(literals: list[str]) -> None:
    total = sum(_weight(_compile(literal).execute({})) for literal in literals)
    if total > MAX_PATTERN_WEIGHT:
        raise ExpressionError(
            f"has patterns of weight {total}; at most {MAX_PATTERN_WEIGHT} are allowed: a character weighs 2, "
            r"\d 10, \w and \p 100, each times its {count}; write [a-z0-9] for \w where that is meant"
        )
    for literal in literals:
        try:
            _compile(f"''.matches({literal})").execute({})
        except (RuntimeError, ValueError) as error:
            why = str(error).rpartition("error: ")[2].partition(". Check ")[0]
            raise ExpressionError(f"has the pattern {literal}: {why}") from None


def _weight(pattern: str) -> int:
    r"""About how long the pattern takes to compile, in units of 4 us (measured: `\w` 400, `\d` 40, others 1-10 us)."""
    if re.search(r"\(\?[a-zA-Z-]*x", pattern):
        raise ExpressionError("has a pattern with the flag x; write it without spaces and comments")
    total = atom = in_class = 0
    is_group = False
    for token in _PATTERN_TOKEN.finditer(pattern):
        if token[1] and not in_class:
            if is_group:
                raise ExpressionError("has a pattern with a {count} after a group; allowed after a character or class")
            times = max(1, int(token[3] or token[1]) + (token[2] == "," and not token[3]))
            total += atom * (times - 1)
            atom *= times
        elif token[0] in {"*", "+", "?"} and not in_class:
            total += 2
        else:
            weight = _WEIGHTS.get(token[0][:2], 2)
            total += weight
            atom = atom + weight if in_class else weight
            is_group = token[0] == ")" and not in_class
            in_class += token[0].startswith("[") - (token[0] == "]" and in_class > 0)
    return total
