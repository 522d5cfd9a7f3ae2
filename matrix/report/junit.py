"""Writes a run as JUnit XML, which CI services read: a test case a cell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from typing import Any

    from matrix.run.runner import Report

#: What XML 1.0 cannot hold, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """Return a run as XML: a suite a driver, a case a cell.

    A cell that is not as claimed is a failure and holds its transcript; one that could not be judged is an error; one
    that is not applicable is skipped. Only what was run is in it, and no times: cells run side by side.
    """
    root = ElementTree.Element("testsuites", name="matrix")
    drivers = sorted({key.split("/")[2] for key in [*report.observations, *report.broken]})
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for driver in drivers:
        suite = ElementTree.SubElement(root, "testsuite", name=driver)
        _properties(suite, [seen for seen in report.observations.values() if seen["driver"] == driver])
        keys = sorted(key for key in {*report.observations, *report.broken} if key.split("/")[2] == driver)
        counts = dict.fromkeys(totals, 0)
        for key in keys:
            counts["tests"] += 1
            if outcome := _case(suite, key, report):
                counts[outcome] += 1
        for name, count in counts.items():
            suite.set(name, str(count))
            totals[name] += count
    for name in ("tests", "failures", "errors"):  # readers' schemas know no sum of what was skipped
        root.set(name, str(totals[name]))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _properties(suite: ElementTree.Element, observations: list[dict[str, Any]]) -> None:
    found: dict[str, list[str]] = {}
    for seen in observations:
        for name, version in seen["versions"].items():
            if version not in found.setdefault(name, []):
                found[name].append(version)
    if found:
        properties = ElementTree.SubElement(suite, "properties")
        for name, versions in sorted(found.items()):
            value = _legal(", ".join(sorted(versions)))
            ElementTree.SubElement(properties, "property", name=_legal(name), value=value)


def _case(suite: ElementTree.Element, key: str, report: Report) -> str | None:
    """Add a cell's test case and return which count it adds to, None where it passed."""
    stack, example, *rest = key.split("/")
    case = ElementTree.SubElement(suite, "testcase", classname=f"{stack}.{example}", name="/".join(rest))
    if key in report.broken:
        why = _legal(report.broken[key])
        ElementTree.SubElement(case, "error", type="not judged", message=why).text = why
        return "errors"
    seen = report.observations[key]
    if seen["outcome"] == "not applicable":
        ElementTree.SubElement(case, "skipped", message=_legal(seen.get("note", "not applicable")))
        return "skipped"
    if key not in report.deviations:
        return None
    counts = ", ".join(f"{name} {count}x" for name, count in seen["seen"].items())
    claimed = " or ".join(seen["expected"])
    failure = ElementTree.SubElement(
        case,
        "failure",
        type="not as claimed" if claimed else "not claimed yet",
        message=f"seen {counts}; claimed {claimed}" if claimed else f"seen {counts}; nothing is claimed yet",
    )
    failure.text = _legal("\n".join(["", *seen["transcript"], ""]))
    return "failures"


def _legal(text: str) -> str:
    """Return a text with what XML cannot hold written as an escape."""
    return _ILLEGAL.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)
