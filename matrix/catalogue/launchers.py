"""Finds launchers and applications on disk: `launchers/<name>/` and `launchers/applications/<name>/`."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from matrix.catalogue import stacks
from matrix.errors import MatrixError
from matrix.records.launchers import ApplicationFacts, LauncherFacts
from matrix.records.reading import ROOT, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matrix.catalogue import Driver

_Facts = TypeVar("_Facts", ApplicationFacts, LauncherFacts)
#: Files of a folder that are no part of a program.
_NOT_FILES = (".toml", ".txt", ".pyc", ".md")


@dataclass(frozen=True)
class Application:
    """A small program of one stack; `files` are its files by name, without any remedy."""

    name: str
    facts: ApplicationFacts
    files: Mapping[str, str]


@dataclass(frozen=True)
class Launcher:
    """What starts processes; `files` are what every application gets under it, without any remedy."""

    name: str
    facts: LauncherFacts
    files: Mapping[str, str]


@functools.cache
def applications(root: Path = ROOT) -> dict[str, Application]:
    """Return every application by name, in order; raise MatrixError where facts are malformed."""
    folder = root / "launchers" / "applications"
    found = [Application(*each) for each in _read_all(folder, "application.toml", ApplicationFacts)]
    for application in found:
        if application.facts.stack not in stacks(root):
            raise MatrixError(
                f"launchers/applications/{application.name}/application.toml: there is no stack"
                f" {application.facts.stack!r}; there are {', '.join(stacks(root))}"
            )
    return {each.name: each for each in sorted(found, key=lambda each: each.facts.order)}


@functools.cache
def launchers(root: Path = ROOT) -> dict[str, Launcher]:
    """Return every launcher by name, in order; raise MatrixError where facts are malformed."""
    found = [Launcher(*each) for each in _read_all(root / "launchers", "launcher.toml", LauncherFacts)]
    for launcher in found:
        for name in launcher.facts.applications:
            if name not in applications(root):
                raise MatrixError(
                    f"launchers/{launcher.name}/launcher.toml: there is no application {name!r};"
                    f" there are {', '.join(applications(root))}"
                )
    return {each.name: each for each in sorted(found, key=lambda each: each.facts.order)}


def _read_all(folder: Path, file: str, what: type[_Facts]) -> list[tuple[str, _Facts, Mapping[str, str]]]:
    """Return name, facts and files of each folder that has facts, with those of the folder that it is `like`."""
    found: list[tuple[str, _Facts, Mapping[str, str]]] = []
    for path in sorted(folder.glob(f"*/{file}")):
        data, files = _load(path), _files(path.parent)
        if like := data.get("like"):
            other = path.parent.with_name(str(like)) / file
            data, files = _merged(_load(other), data), _files(other.parent) | files
        try:
            found.append((path.parent.name, msgspec.convert(data, what), files))
        except msgspec.ValidationError as error:
            raise MatrixError(f"{shown(path)}: {error}") from None
    return found


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MatrixError(f"{shown(path)}: {error}") from None


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of `base` with those of `over` in them: a key that is there replaces, `false` removes."""
    merged = dict(base)
    for key, value in over.items():
        if value is False and key in base and not isinstance(base[key], bool):
            del merged[key]
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _merged(base[key], value)
        else:
            merged[key] = value
    return merged


def _files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in _NOT_FILES
    }


def works_with(application: Application, driver: Driver) -> bool:
    """Whether an application can be run with a driver."""
    stack = application.facts.stack
    return stack in driver.facts.stacks and driver.facts.capabilities(stack) >= set(application.facts.needs)
