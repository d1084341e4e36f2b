"""Gates as test cases, for whatever shows JUnit files."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from loadtest.report.draw.section import banner_words
from loadtest.terminal import clean

if TYPE_CHECKING:
    from loadtest.report.summary import Summary


def to_junit(summary: Summary, *, strict: bool = False) -> bytes:
    """One test case a gate: fail is a failure, inconclusive skipped; of an invalid or interrupted run all are errors.

    A run without gates has one case, `valid`, so that the file says whether there was a run at all; one with simulated
    agents has one more, `over_capacity`.
    Args: strict: inconclusive is a failure too.
    """
    name = f"loadtest.{summary.origin.name}"
    suite = Element("testsuite", name=name, timestamp=clean(summary.origin.started_at))
    properties = SubElement(suite, "properties")
    for key, value in (("run", summary.origin.id), ("seed", str(summary.origin.seed)), ("verdict", summary.verdict)):
        SubElement(properties, "property", name=key, value=clean(value))
    reasons = clean(" ".join(banner_words(summary)))
    cases = [(f"{name}.{each.on}", each.gate, each.verdict, each.why) for each in summary.gates]
    for classname, gate, verdict, why in cases or [(name, "valid", "pass", "")]:
        case = SubElement(suite, "testcase", classname=clean(classname), name=clean(gate))
        if not summary.is_judged:
            ended = "interrupted" if summary.origin.status == "interrupted" else "invalid"
            SubElement(case, "error", message=ended, type=ended).text = reasons
        elif verdict == "fail" or (strict and verdict == "inconclusive"):
            SubElement(case, "failure", message=clean(why), type=verdict)
        elif verdict == "inconclusive":
            SubElement(case, "skipped", message=clean(why))
    if summary.agents is not None:
        case = SubElement(suite, "testcase", classname=clean(f"{name}.agents"), name="over_capacity")
        if summary.over_capacity:
            SubElement(case, "failure", message=reasons, type="fail")
    suite.set("tests", str(len(suite.findall("testcase"))))
    for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(plural, str(len(suite.findall(f"testcase/{kind}"))))
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"
