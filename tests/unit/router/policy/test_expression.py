"""Conditions: bounded when compiled, and unable to raise when evaluated."""

from __future__ import annotations

from typing import Any

import cel
import pytest

from router.policy.errors import ExpressionError
from router.policy.expression import MAX_CHARS, MAX_DEPTH, Expression

FACTS: dict[str, Any] = {
    "text": "hello there",
    "channel": "phone",
    "context": {"vip": True, "amount": 120, "tags": ["a", "b"]},
    "budget_ms": 50.0,
    "customer_id": None,
}


def holds(source: str) -> bool:
    expression = Expression(source, FACTS)
    result = expression.holds(FACTS.__getitem__)
    assert expression.errors_total == 0, expression.last_error
    return result


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('channel == "phone"', True),
        ('channel == "chat"', False),
        ("has(context.vip) && context.vip", True),
        ("has(context.unknown) && context.unknown", False),
        ("context.amount > 100 && budget_ms < 60.0", True),
        ("'a' in context.tags", True),
        ("context.tags.exists(tag, tag == 'b')", True),
        ("text.contains('there')", True),
        ("text.matches('^hello [a-z]{5}$')", True),
        (r"text.matches(r'(?i)^(hello|good (morning|evening)) (there|card|account) ?\w*$')", True),
        (r"text.matches(r'\bthere\b') && 'b' in context.tags", True),
        ("context.tags.exists(tag, tag in ['b', channel])", True),
        ("context.tags.all(tag, tag.startsWith('a'))", False),
        ('channel == "chat" || "a" in context.tags', True),
        ('channel == "phone" && (context.vip || text == "x") && budget_ms > 1.0', True),
        ('channel == "phone" && context.amount > 200', False),
        ('channel == "chat" ? context.vip : channel == "phone" && context.vip', True),
        ("customer_id == null", True),
        ("true", True),
    ],
)
def test_what_holds(source: str, expected: bool) -> None:
    assert holds(source) is expected


def test_only_the_variables_that_it_names_are_asked_for() -> None:
    asked: list[str] = []
    expression = Expression("context.vip && context.amount > 1", FACTS)
    assert expression.holds(lambda name: asked.append(name) or FACTS[name])  # type: ignore[func-returns-value]
    assert asked == ["context"]


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("context.unknown", id="a missing key"),
        pytest.param("context.tags[7] == 'x'", id="out of range"),
        pytest.param("text > 5", id="types that do not fit"),
        pytest.param("text", id="not a boolean"),
        pytest.param("1", id="a number is not true"),
        pytest.param("1 / 0 == 1", id="division by zero"),
        pytest.param("9223372036854775807 + 1 > 0", id="overflow"),
        pytest.param("text.no_such_function()", id="an unknown function"),
        pytest.param("__import__('os')", id="no way out"),
    ],
)
def test_an_error_is_false_and_counted(source: str) -> None:
    expression = Expression(source, FACTS)
    assert expression.holds(FACTS.__getitem__) is False
    assert expression.holds(FACTS.__getitem__) is False
    assert expression.errors_total == 2
    assert expression.last_error


@pytest.mark.parametrize("source", ["context.unknown && channel == 'x'", "channel == 'x' && 1", "context.no && !true"])
def test_false_decides_even_beside_an_error(source: str) -> None:
    assert holds(source) is False


def test_the_context_is_asked_for_only_where_the_rest_holds() -> None:
    asked: list[str] = []
    expression = Expression('context.vip && channel == "chat" && budget_ms < 9.0', FACTS)
    assert not expression.holds(lambda name: asked.append(name) or FACTS[name])  # type: ignore[func-returns-value]
    assert asked == ["budget_ms", "channel"]


def test_only_the_first_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    expression = Expression("context.unknown", FACTS)
    for _ in range(3):
        expression.holds(FACTS.__getitem__)
    assert [record.message for record in caplog.records] == ["condition_failed"]
    assert vars(caplog.records[0])["condition"] == "context.unknown"
    assert vars(caplog.records[0])["why"] == "there is no 'unknown'"


def test_an_error_does_not_stay() -> None:
    expression = Expression("context.vip", FACTS)
    assert not expression.holds(lambda name: {})
    assert expression.holds(FACTS.__getitem__)
    assert expression.errors_total == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("  \n", "is empty", id="blank"),
        pytest.param("channel ==", "^`channel ==` is not CEL at its end: a value is expected$", id="cut off"),
        pytest.param("channel = 'x'", "at column 9, `= 'x'`: to compare, write ==$", id="assignment"),
        pytest.param("'abc", "at column 1, `'abc`: a string without its closing quote", id="open string"),
        pytest.param("text text", r"column 6, `text`: an operator \(as && or ==\) or the end is expected$", id="two"),
        pytest.param("text == 'a'\n  and true", "at line 2, column 3, `and true`: write &&$", id="and"),
        pytest.param("text == 'a' &&\n", "at its end: a value is expected$", id="cut off after a line"),
        pytest.param("size(text == 1", r"at its end: '\)' is missing$", id="open bracket"),
        pytest.param("text in ['a' 'b']", "at column 14, `'b'.`: '.' or ',' is expected$", id="no comma"),
        pytest.param("text ? 1", "at its end: an operator .* or ':' is expected$", id="half a choice"),
        pytest.param("context..vip", "at column 9, `.vip`: a name or a value is expected$", id="two dots"),
        pytest.param("text == 'a'; true", "at column 12, `; true`: CEL has no such sign$", id="semicolon"),
        pytest.param("break == 1", "at column 1, `break == 1`: break is a word that CEL reserves$", id="reserved"),
        pytest.param("has(text)", r"at column 5, `text\)`: invalid argument to has\(\) macro$", id="no field"),
        pytest.param("'expecting {' == + text", "at column 18, `\\+ text`: a value is expected$", id="its words"),
        pytest.param("text * * " + "9" * 40, "column 8, `[*] 999999999999999999…`: a value is expected$", id="long"),
        pytest.param("chanel == 'x'", "names chanel; the variables are budget_ms, channel", id="a misspelt variable"),
        pytest.param("a.b && c", "names a, c; the variables are", id="several"),
        pytest.param("'" + "x" * MAX_CHARS + "' == text", "at most 1000 are allowed", id="too long"),
        pytest.param("(" * 33 + "true" + ")" * 33, "is nested 33 deep; at most 32", id="too deep"),
        pytest.param("[" * 40 + "]" * 40 + " == text", "is nested 40 deep", id="too deep in lists"),
        pytest.param("context.tags.all(a, context.tags.exists(b, a == b))", "exists_one, once", id="nested macros"),
        ("context.tags.exists(a, a in context.tags)", "uses context in a macro"),
        ("context.tags.exists(a, text.contains(a))", "uses text in a macro"),
        ("context.tags.exists(a, a.matches('b'))", "uses matches in a macro"),
        ("[text].exists ( t , (context) == t)", "uses context in a macro"),
        ("context.tags.exists(a, a == '" + "x" * 200 + "')", "a macro's body of 2"),
        ("context.tags.map(a, a) == []", "all, exists or exists_one, once"),
        ("context.tags.filter(a, true) == []", "all, exists or exists_one, once"),
        ("[context.tags.existsOne(a, true)].existsOne(b, b)", "all, exists or exists_one, once"),
        ("text" + " + text" * 9 + " == 'x'", "has 9 plus signs; at most 4"),
        ("text.matches('(')", r"has the pattern '\(': unclosed group"),
        ("text.matches(channel)", r"without a literal pattern; allowed is text.matches\('"),
        ("text.matches('a' + channel)", "without a literal pattern"),
        ("'a'.matches(text)", "without a literal pattern"),
        ("matches(text, 'a')", "without a literal pattern"),
        (r"text.matches(r'\') || context.tags.map(a, a) == [r'\']", "all, exists or exists_one, once"),
        ('text == """a\'"""', "three quotes in a row"),
        (r"text.matches('(\\w{30}){30}')", "a {count} after a group"),
        (r"text.matches('(\\w\\w)+{30}')", "a {count} after a group"),
        (r"text.matches('\\w{6}')", "patterns of weight 600; at most 500"),
        (r"text.matches(r'\pL{6}')", "patterns of weight 600"),
        (r"text.matches(r'[]\w]{6}')", "patterns of weight 6[0-9][0-9]"),
        (r"text.matches(r'\w+{6}')", "patterns of weight 602"),
        (r"text.matches(r'\w{3}') || text.matches(r'\w{3}')", "patterns of weight 600"),
        ("text.matches('a{9999999999999}')", "patterns of weight"),
        (r"text.matches(r'(?x)\w {30}')", "the flag x"),
        ("text.startWith('a')", "calls startWith; there are bytes, contains"),
        ("context.l.all/**/(x, true) // a", "comment"),
    ],
)
def test_what_is_refused_when_it_is_compiled(source: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        Expression(source, FACTS)
    assert "IDENTIFIER" not in str(caught.value)


def test_what_is_just_allowed() -> None:
    assert holds("(" * MAX_DEPTH + "true" + ")" * MAX_DEPTH)
    source = "text != '" + "x" * (MAX_CHARS - 10) + "'"
    assert len(source) == MAX_CHARS
    assert holds(source)


def test_brackets_and_macros_in_strings_are_text() -> None:
    assert not holds("text == '" + "(" * 100 + "'")
    assert not holds("text == '.all(' || text == \".map(\" || text == 'it\\'s .filter('")


def test_a_long_chain_does_not_overflow_the_stack() -> None:
    assert holds("!" * 990 + "true")
    assert holds("true" + "&&true" * 150)


class PanicException(BaseException):
    """As the Rust bindings raise it: outside `Exception`, known by its name."""


class Broken:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def execute(self, facts: object) -> object:
        raise self.error


def test_a_panic_of_the_library_is_an_error_like_any_other() -> None:
    expression = Expression("true", FACTS)
    expression._parts = ((Broken(PanicException("index out of bounds")), ()),)  # type: ignore[assignment]
    assert expression.holds(FACTS.__getitem__) is False
    assert (expression.errors_total, expression.last_error) == (1, "index out of bounds")


def test_what_ends_the_process_is_not_held_back() -> None:
    expression = Expression("true", FACTS)
    expression._parts = ((Broken(KeyboardInterrupt()), ()),)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        expression.holds(FACTS.__getitem__)


def test_a_panic_of_the_parser_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(source: str) -> object:
        raise PanicException("not a char boundary")

    monkeypatch.setattr(cel, "compile", panic)
    with pytest.raises(ExpressionError, match="`true` is not CEL: not a char boundary"):
        Expression("true", FACTS)


def test_an_interrupt_while_compiling_is_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(source: str) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(cel, "compile", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Expression("true", FACTS)


def test_a_panic_without_a_message_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(source: str) -> object:
        raise PanicException

    monkeypatch.setattr(cel, "compile", panic)
    with pytest.raises(ExpressionError, match="`true` is not CEL"):
        Expression("true", FACTS)


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("queues.cards.ewt_s > 180.0 && channel == 'queues.chat'", {"cards"}),
        ("queues['a-b'].free == 0 && has(queues . cards.is_open)", {"a-b", "cards"}),
        ("queues.exists(q, q == 'x')", None),
        ("queues[channel].free > 0 && queues.cards.free > 0", None),
        ("size(queues) > 3", None),
        ("context.queues.cards == 1", set()),
    ],
)
def test_which_keys_of_a_map_a_condition_reads(source: str, fields: set[str] | None) -> None:
    assert Expression(source, ("queues", "channel", "context")).fields_of("queues") == fields


def test_what_is_dear_to_get_is_asked_for_last() -> None:
    asked: list[str] = []

    def fact(name: str) -> object:
        asked.append(name)
        return {"channel": "chat", "queues": {"cards": {"free": 1}}}[name]

    expression = Expression("queues.cards.free > 0 && channel == 'voice'", ("queues", "channel"))
    assert not expression.holds(fact)
    assert asked == ["channel"]
