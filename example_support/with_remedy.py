"""Runs an example with a remedy in place: `python -m example_support.with_remedy`, told by `WITH_REMEDY` what and how.

`WITH_REMEDY` is a JSON object:

| key | what it is |
|---|---|
| `module` | the example's module, such as `drivers.closed_in_child`; it runs unchanged |
| `code` | the remedy's code, as it is pasted: a module of its own |
| `points` | the statements of the remedy that run at each point |
| `names` | what the statements may name besides, as `module:name` |
| `opens` | the function with which the program connects or creates its engine, as `module:name` |
| `opened`, `holder` | what the statements call what that function returns, and the object that holds it |

`start` runs before the example, `connect` whenever the program has connected (it may replace what was opened),
`before`, `child` and `parent` at every fork. Each statement is a step of the transcript.
"""

import functools
import importlib
import json
import os
import pkgutil
import runpy
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

from .transcript import step


class Holder:
    """A program's connection, which is opened when it is needed, as programs without an ORM keep theirs.

    Whatever else is asked of it is asked of the connection.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self.connection: Any = connect()

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def __getattr__(self, name: str) -> Any:
        if self.connection is None:
            self.connection = self._connect()
        return getattr(self.connection, name)


class Remedy:
    """A remedy in place: its code, and what runs at its points."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self._points: dict[str, list[str]] = asked["points"]
        self._opened, self._holder = asked["opened"], asked["holder"]
        self._code = types.ModuleType("forks", None)
        sys.modules["forks"] = self._code
        exec(compile(asked["code"], "forks.py", "exec"), vars(self._code))
        self._names = {name: pkgutil.resolve_name(where) for name, where in asked["names"].items()}
        self._names["DATABASE_URL"] = os.environ["DATABASE_URL"]
        # What the program holds; only it keeps that alive.
        self._held: Callable[[], Any] = lambda: None

    def run(self, point: str, **names: Any) -> dict[str, Any]:
        """Run the statements of a point, and return what names then stand for."""
        known = {**vars(self._code), **self._names, **names}
        for statement in self._points.get(point, ()):
            step(statement, exec, compile(statement, point, "exec"), known)
        return known

    def at_fork(self, point: str) -> None:
        """Run the statements of a point at a fork; those that are about a connection only if the program has one."""
        held = self._held()
        if held is None and self._names_at(point) & {self._opened, self._holder}:
            return
        self.run(point, **({} if held is None else {self._holder or self._opened: held}))

    def connecting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that connects as `function` does, with what the remedy does about that."""

        @functools.wraps(function)
        def connect(*arguments: Any, **options: Any) -> Any:
            def again(*others: Any, **more: Any) -> Any:
                """Connect as the example asked to, with what the remedy adds."""
                return function(*(others or arguments), **(options | more))

            if function.__name__ in self._names_at("connect"):  # the remedy connects itself
                opened = None
            else:
                opened = Holder(again) if self._holder in self._names_at(*self._points) else again()
            if "connect" in self._points:
                opened = self.run("connect", **{self._opened: opened, function.__name__: again})[self._opened]
            self._held = weakref.ref(opened)
            return opened

        return connect

    def _names_at(self, *points: str) -> set[str]:
        """Return what the statements of some points name."""
        lines = [line for point in points for line in self._points.get(point, ())]
        return {name for line in lines for name in compile(line, "point", "exec").co_names}


def main() -> None:
    """Put a remedy in place, then do what `python -m` does with the example."""
    asked = json.loads(os.environ["WITH_REMEDY"])
    importlib.import_module(f"{asked['module'].partition('.')[0]}.helper")
    remedy = Remedy(asked)
    if asked["opens"]:
        where, _, name = asked["opens"].partition(":")
        module = importlib.import_module(where)
        setattr(module, name, remedy.connecting(getattr(module, name)))
    else:
        remedy.run("connect")
    remedy.run("start")
    os.register_at_fork(
        before=lambda: remedy.at_fork("before"),
        after_in_parent=lambda: remedy.at_fork("parent"),
        after_in_child=lambda: remedy.at_fork("child"),
    )
    # As in matrix/process/preloaded.py: how the example's objects go at the end of the interpreter is part of it.
    runpy._run_module_as_main(asked["module"])  # type: ignore[attr-defined]


if __name__ == "__main__":
    # In a module of its own, because the example becomes `__main__`.
    importlib.import_module("example_support.with_remedy").main()
