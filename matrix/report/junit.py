"""Writes a run as JUnit XML, which CI services read: a test case a cell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.records.observation import Observation
    from matrix.records.summary import Summary

#: What XML 1.0 cannot hold, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(summary: Summary) -> str:
    """Return a run as XML: a suite a driver, a case a cell.

    A cell that is not as expected is a failure and holds its transcript; one that could not be judged is an error; one
    that is not applicable is skipped. Only what was run is in it, and no times: cells run side by side.
    """
    root = ElementTree.Element("testsuites", name="matrix")
    deviations = set(summary.deviations)
    suites: dict[str, list[str]] = {}
    for key in sorted({*summary.observations, *summary.broken}):
        suites.setdefault(key.split("/")[2], []).append(key)
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for driver, keys in sorted(suites.items()):
        suite = ElementTree.SubElement(root, "testsuite", name=driver)
        _properties(suite, (summary.observations[key] for key in keys if key in summary.observations))
        counts = dict.fromkeys(totals, 0)
        for key in keys:
            counts["tests"] += 1
            if outcome := _case(suite, key, summary, deviates=key in deviations):
                counts[outcome] += 1
        for name, count in counts.items():
            suite.set(name, str(count))
            totals[name] += count
    for name in ("tests", "failures", "errors"):  # readers' schemas know no sum of what was skipped
        root.set(name, str(totals[name]))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _properties(suite: ElementTree.Element, observations: Iterable[Observation]) -> None:
    found: dict[str, set[str]] = {}
    for seen in observations:
        for name, version in seen.versions.items():
            found.setdefault(name, set()).add(version)
    if found:
        properties = ElementTree.SubElement(suite, "properties")
        for name, versions in sorted(found.items()):
            value = _legal(", ".join(sorted(versions)))
            ElementTree.SubElement(properties, "property", name=_legal(name), value=value)


def _case(suite: ElementTree.Element, key: str, summary: Summary, *, deviates: bool) -> str | None:
    """Add a cell's test case and return which count it adds to, None if it passed."""
    stack, example, *rest = key.split("/")
    case = ElementTree.SubElement(suite, "testcase", classname=f"{stack}.{example}", name="/".join(rest))
    if key in summary.broken:
        why = _legal(summary.broken[key])
        ElementTree.SubElement(case, "error", type="not judged", message=why).text = why
        return "errors"
    seen = summary.observations[key]
    if not seen.applies:
        ElementTree.SubElement(case, "skipped", message=_legal(seen.note or seen.outcome))
        return "skipped"
    if not deviates:
        return None
    kind = "not as expected" if key in summary.claims else "without an expected result"
    failure = ElementTree.SubElement(case, "failure", type=kind, message=_legal(summary.explain(key)))
    failure.text = _legal("\n".join(["", *seen.transcript, ""]))
    return "failures"


def _legal(text: str) -> str:
    """Return a text with what XML cannot hold written as an escape."""
    return _ILLEGAL.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)
