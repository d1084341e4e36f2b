"""What is wrong with a condition that is not CEL, in a few words: the parser lists all tokens that could be there."""

from __future__ import annotations

import re

_ERROR = re.compile(r"^ERROR: <input>:(\d+):(\d+): (.*?)(?=\n\||\Z)", re.DOTALL | re.MULTILINE)
_TOKEN = re.compile(r"(?:token recognition error at:|input) '(.*?)'(?: expecting .*)?\Z", re.DOTALL)
_MISSING = re.compile(r"missing ('.') at ")
_MEANT = {
    "=": "to compare, write ==",
    "=>": "write >=",
    "&": "write &&",
    "|": "write ||",
    "and": "write &&",
    "or": "write ||",
}
_CLOSING = ("')'", "']'", "'}'", "','", "':'")
_SHOWN_CHARS, _MAX_CHARS = 20, 100


def syntax_error(source: str, message: str) -> str:
    """Where `source` is no CEL and what is expected there, of the parser's message."""
    told = message.removeprefix(f"Failed to parse expression '{source}': ")
    errors = [(int(line), int(column), said) for line, column, said in _ERROR.findall(told)]
    # What is incomplete is told beside the place where it ends, and the place says more.
    line, column, said = next((each for each in errors if not each[2].startswith("Incomplete ")), (0, 0, ""))
    if not line:
        return f"`{source}` is not CEL: {next(iter(told.splitlines()), '')[:_MAX_CHARS]}"
    lines = source.split("\n")
    rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]]).strip().partition("\n")[0]
    where = f"line {line}, column {column}" if len(lines) > 1 else f"column {column}"
    cut = f"{rest[:_SHOWN_CHARS]}…" if len(rest) > _SHOWN_CHARS else rest
    at = f"at {where}, `{cut}`" if rest else "at its end"
    return f"`{source}` is not CEL {at}: {_in_words(said)}"


def _in_words(said: str) -> str:
    token = found[1].strip() if (found := _TOKEN.search(said)) is not None else ""
    if (meant := _MEANT.get(token)) is not None:
        return meant
    if "token recognition error" in said:
        is_string = token.startswith(("'", '"'))
        return "a string without its closing quote, or with an unknown \\" if is_string else "CEL has no such sign"
    if (missing := _MISSING.search(said)) is not None:
        return f"{missing[1]} is missing"
    if said.startswith("reserved identifier: "):
        return f"{said.rpartition(' ')[2]} is a word that CEL reserves"
    return _expected(said)


def _expected(said: str) -> str:
    """What the tokens that could stand there have in common."""
    _, is_list, tokens = said.rpartition(" expecting ")
    if "no viable alternative" in said:
        return "a name or a value is expected"
    if not is_list:
        return said.removeprefix("Syntax error: ")[:_MAX_CHARS]
    if "IDENTIFIER" in tokens:
        return "a value is expected"
    wanted = [each for each in _CLOSING if each in tokens]
    if "'&&'" in tokens or tokens == "<EOF>":
        wanted.insert(0, "an operator (as && or ==)")
    if "<EOF>" in tokens:
        wanted.append("the end")
    return f"{' or '.join(wanted) or 'something else'} is expected"
