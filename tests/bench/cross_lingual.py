"""What examples in one language are worth in another: `python -m tests.bench.cross_lingual --encoder DIR ...`.

Trains as `takt train` does, on the utterances of examples/bank in one language, and asks for those in the other, which
mean the same routes but are no translations; then on both, for the messages of test.csv. Once for each encoder, rung
`large`; and for rung `small`, which has none. `--xsid DIR` trains on English rows of xSID (van der Goot et al. 2021)
and asks for its test rows in ten languages; DIR holds en.train.conll, en.test.conll, de.test.conll, ... of a release.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.data import Example, read_csv
from models.encoder.find import find_encoder
from models.evaluate import evaluate
from models.spec import OUT_OF_SCOPE
from models.train import train

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from models.encoder.find import Encoder

_BANK = Path(__file__).parents[2] / "examples" / "bank"
_LANGUAGES = ("en", "de", "nl", "it", "da", "tr", "ja", "zh", "ar", "gsw")
_XSID_ROWS = 8_000
_PER_ROUTE = 6  # test.csv has six English messages of each route, then six German ones


class Case(NamedTuple):
    """Rows to learn from, and rows to ask for, by name."""

    name: str
    learned: Sequence[Example]
    asked: Mapping[str, Sequence[Example]]


def read_bank() -> Iterator[Case]:
    """From English to German, back, and from both to messages of either."""
    english, german = (read_csv(_BANK / f"utterances.{language}.csv") for language in ("en", "de"))
    test = [row for row in read_csv(_BANK / "test.csv") if row.route != OUT_OF_SCOPE]
    halves = np.arange(len(test)) // _PER_ROUTE % 2
    english_test, german_test = ([row for row, of in zip(test, halves, strict=True) if of == half] for half in (0, 1))
    tests = {"English test": english_test, "German test": german_test}
    yield Case("bank, English examples", english, {"German utterances": german, **tests})
    yield Case("bank, German examples", german, {"English utterances": english, **tests})
    yield Case("bank, both", [*english, *german], tests)


def read_xsid(directory: Path) -> Case:
    """From some English rows, drawn by a seed, to all test rows; what is asked of the weather is one route there."""
    rows = list(dict.fromkeys(_read_conll(directory / "en.train.conll")))
    drawn = np.random.default_rng(0).permutation(len(rows))[:_XSID_ROWS]
    asked = {language: list(_read_conll(directory / f"{language}.test.conll")) for language in _LANGUAGES}
    return Case("xSID, English examples", [rows[at] for at in drawn], asked)


def _read_conll(path: Path) -> Iterator[Example]:
    """Texts and intents, which stand in comments before the words."""
    text = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "# text":
            text = value.strip()
        elif key.strip() == "# intent":
            route = value.strip()
            yield Example(text, "weather/find" if route == "GetWeather" or route.startswith("weather/") else route)


def bench(case: Case, encoder: Encoder | None) -> dict[str, float]:
    """Accuracy % of the best rung for each of the rows asked."""
    with tempfile.TemporaryDirectory() as directory:
        rung = train(case.learned, Path(directory), encoder=encoder).rungs[-1].name
        return {name: 100 * evaluate(Path(directory), rows).rungs[rung].accuracy for name, rows in case.asked.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, action="append", default=[], help="a directory of weights; repeatable")
    parser.add_argument("--xsid", type=Path)
    args = parser.parse_args()
    encoders = [None, *(find_encoder(directory) for directory in args.encoder)]
    for case in [*read_bank(), *([read_xsid(args.xsid)] if args.xsid else [])]:
        print(f"\n{case.name}: {len(case.learned)} rows\n{'':<24}" + "".join(f"{name:>19}" for name in case.asked))
        for encoder in encoders:
            found = bench(case, encoder)
            name = "small" if encoder is None else encoder.name
            print(f"{name:<24}" + "".join(f"{value:>19.1f}" for value in found.values()), flush=True)


if __name__ == "__main__":
    main()
