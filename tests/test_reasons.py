"""Reasons cannot rot silently: the source line that each names is still there and still does what the reason says."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import re
from typing import Any

import pytest

from matrix.catalogue.claims import reasons
from matrix.records.claim import Source

SOURCES = [
    pytest.param(source, id=f"{name}: {source.file}:{source.line}")
    for name, reason in reasons().items()
    for source in reason.sources
]
PYTHON = [param for param in SOURCES if isinstance(source := param.values[0], Source) and source.object]
#: mysqlclient's C library, which is the system's: each distribution has another release of one series.
CLIENT_LIBRARY = "MariaDB Connector/C"


def installed(source: Source) -> str:
    """The version of the package that is installed here."""
    if source.package == CLIENT_LIBRARY:
        return str(pytest.importorskip("MySQLdb").get_client_info())
    try:
        return importlib.metadata.version(source.package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{source.package} is not installed in this environment")


def find(path: str) -> Any:
    """What `module:Class.attribute` names; a property or another descriptor is its function."""
    module, _, attributes = path.partition(":")
    found: Any = importlib.import_module(module)
    for name in attributes.split("."):
        found = inspect.getattr_static(found, name) if inspect.isclass(found) else getattr(found, name)
        found = getattr(found, "__func__", getattr(found, "fget", None) or found)
    return inspect.unwrap(found)


@pytest.mark.parametrize("source", SOURCES)
def test_the_version_that_was_read_is_the_one_installed(source: Source) -> None:
    version = installed(source)
    if source.package == CLIENT_LIBRARY:
        assert version.split(".")[:2] == source.version.split(".")[:2], f"{version} is of another series: read it again"
        return
    assert version == source.version, (
        f"{source.package} {version} is installed and {source.version} was read:"
        f" read {source.file} again, and then change version, line and url"
    )


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
    installed(source)
    assert source.object
    assert source.contains
    assert source.contains in inspect.getsource(find(source.object)), (
        f"{source.object} does not contain {source.contains!r} any more: read it again"
    )


@pytest.mark.parametrize("source", PYTHON)
def test_the_line_lies_in_the_named_object(source: Source) -> None:
    installed(source)
    assert source.object
    found = find(source.object)
    path = inspect.getsourcefile(found)
    assert path is not None
    # Repositories keep their packages in a folder of their own: psycopg/psycopg/, lib/sqlalchemy/.
    assert any(path.endswith("/" + "/".join(source.file.split("/")[n:])) for n in range(source.file.count("/")))
    lines, first = inspect.getsourcelines(found)
    first = max(first, 1)
    assert first <= source.line < first + len(lines), f"{source.object} is at lines {first} to {first + len(lines) - 1}"


@pytest.mark.parametrize("source", [param for param in SOURCES if param not in PYTHON])
def test_a_source_without_a_python_object_is_c(source: Source) -> None:
    assert source.file.endswith((".c", ".h", ".pyx")), f"{source.file}: object and contains are missing"
