"""Reasons cannot rot silently: the source line that each names is in what is pinned, and does what the reason says."""

from __future__ import annotations

import functools
import re
import subprocess

import msgspec
import pytest
from packaging.utils import canonicalize_name

from matrix import catalogue
from matrix.catalogue.claims import reasons
from matrix.provision import pins
from matrix.records.claim import Source
from matrix.records.observation import Observation
from matrix.records.results import RESULTS, read_folder
from matrix.run.environment import environment, interpreter

SOURCES = [
    pytest.param(source, id=f"{name}: {source.file}:{source.line}")
    for name, reason in reasons().items()
    for source in reason.sources
]
PYTHON = [param for param in SOURCES if isinstance(source := param.values[0], Source) and source.object]
#: The versions of each package that drivers' environments hold, by driver.
PINNED = {
    driver: {pin.name: pin.version for pin in pins.environments()[driver].read()} for driver in catalogue.drivers()
}

#: Run by the interpreter of a driver's environment: prints, for each object that it is asked for, where its source is.
FIND = """
import importlib, inspect, json, sys

def find(path):
    # What `module:Class.attribute` names; a property or another descriptor is its function.
    module, _, attributes = path.partition(":")
    found = importlib.import_module(module)
    for name in attributes.split("."):
        found = inspect.getattr_static(found, name) if inspect.isclass(found) else getattr(found, name)
        found = getattr(found, "__func__", getattr(found, "fget", None) or found)
    return inspect.unwrap(found)

answers = {}
for path in json.load(sys.stdin):
    try:
        found = find(path)
        lines, first = inspect.getsourcelines(found)
        answers[path] = {"file": inspect.getsourcefile(found), "first": max(first, 1), "text": "".join(lines)}
    except Exception as error:
        answers[path] = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(answers))
"""


class Found(msgspec.Struct, frozen=True):
    """Where an object's source is, or why it was not found."""

    file: str = ""
    first: int = 0
    text: str = ""
    error: str = ""


def holders(source: Source) -> dict[str, str]:
    """Return the drivers whose environments hold a package, with the pinned version of it."""
    name = canonicalize_name(source.package)
    return {driver: versions[name] for driver, versions in PINNED.items() if name in versions}


@functools.cache
def installed(driver: str) -> dict[str, Found]:
    """Return what the interpreter of a driver's environment finds of all objects."""
    paths = [source.object for param in PYTHON if isinstance(source := param.values[0], Source)]
    done = subprocess.run(
        [interpreter(driver), "-c", FIND], input=msgspec.json.encode(paths), capture_output=True, check=True
    )
    return msgspec.json.decode(done.stdout, type=dict[str, Found])


def find(source: Source) -> Found:
    """Return the source of a reason's object, in the first environment that can import it at the pinned version."""
    assert source.object
    errors = []
    for driver, version in holders(source).items():
        here = environment(interpreter(driver)).installed.get(canonicalize_name(source.package))
        if here != version:
            errors.append(f"the environment of {driver} has {source.package} {here}, not the pinned {version}")
        elif (found := installed(driver)[source.object]).error:
            errors.append(f"{driver}: {found.error}")
        else:
            return found
    if all("not the pinned" in error for error in errors):
        pytest.skip(f"{'; '.join(errors)}: nox -s tests makes each environment from the pins")
    pytest.fail("; ".join(errors))


@pytest.mark.parametrize("source", SOURCES)
def test_the_version_that_was_read_is_the_one_that_is_pinned_or_was_run(source: Source) -> None:
    if pinned := set(holders(source).values()):
        assert pinned == {source.version}, (
            f"{source.package} is pinned at {', '.join(pinned)} and {source.version} was read:"
            f" read {source.file} again, and then change version, line and url"
        )
        return
    # A C library is not pinned: each distribution has another release of one series.
    libraries = {one.versions.get("client library", "") for one in observed()}
    ran = {text.removeprefix(source.package).strip() for text in libraries if text.startswith(source.package)}
    assert ran, f"no driver's environment holds {source.package}, and no cell ran with it"
    assert {version.split(".")[:2] == source.version.split(".")[:2] for version in ran} == {True}, (
        f"cells ran with {source.package} {', '.join(ran)}, of another series than {source.version}: read it again"
    )


@functools.cache
def observed() -> list[Observation]:
    """Return the committed observations."""
    return list(read_folder(RESULTS).values())


@pytest.mark.parametrize("source", SOURCES)
def test_the_link_leads_to_the_line_in_a_tag_of_that_version(source: Source) -> None:
    url = source.url
    assert url.endswith(f"{source.file}#L{source.line}")
    tag = re.search(r"/blob/([^/]+)/", url)
    assert tag is not None, url
    digits = re.findall(r"\d+", tag[1])
    assert digits == re.findall(r"\d+", source.version), f"{tag[1]} is no tag of {source.version}"


@pytest.mark.parametrize("source", PYTHON)
def test_the_named_object_still_does_what_the_reason_says(source: Source) -> None:
    assert source.contains
    assert source.contains in find(source).text, (
        f"{source.object} does not contain {source.contains!r} any more: read it again"
    )


@pytest.mark.parametrize("source", PYTHON)
def test_the_line_lies_in_the_named_object(source: Source) -> None:
    found = find(source)
    # Repositories keep their packages in a folder of their own: psycopg/psycopg/, lib/sqlalchemy/.
    parts = source.file.split("/")
    assert any(found.file.endswith("/" + "/".join(parts[number:])) for number in range(len(parts) - 1)), found.file
    end = found.first + found.text.count("\n")
    assert found.first <= source.line < end, f"{source.object} is at lines {found.first} to {end - 1}"


@pytest.mark.parametrize("source", [param for param in SOURCES if param not in PYTHON])
def test_a_source_without_a_python_object_is_c(source: Source) -> None:
    assert source.file.endswith((".c", ".h", ".pyx")), f"{source.file}: object and contains are missing"
