"""Puts what differs from driver to driver into an application's files: how to connect, and Django's backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.catalogue import drivers
from matrix.catalogue.pattern import Code, arranged, connection_code
from matrix.records.facts import Use

if TYPE_CHECKING:
    from pathlib import Path


def with_driver(files: dict[str, str], stack: str, driver: str, root: Path) -> dict[str, str]:
    """Return an application's files with what differs from driver to driver in them.

    `{engine}` is Django's backend, and these comments stand for code: `# {setup}`, what has to be called first,
    `# {options}`, options that go elsewhere than into `OPTIONS` itself, and `# {connect}`, the function that connects.
    """
    use = drivers(root)[driver].facts.stacks.get(stack, Use())
    module, _, function = (use.setup or "").partition(":")
    own = f"drivers.{driver}.connection"
    setup = Code((f"import {module}",) * bool(module), f"{module}.{function}()" if module else "")
    if module == own:
        setup = connection_code(driver, function, root)
        setup = Code(setup.imports, f"{setup.text}\n\n\n{function}()")
    moved = [(name, *place.split(".")) for name, place in use.options.items()]
    options = "".join(
        f'if "{name}" in options:\n    options["{table}"] = {{"{key}": options.pop("{name}")}}\n'
        for name, table, key in moved
    )
    slots = {
        "setup": setup,
        "options": Code((), options.rstrip("\n")),
        "connect": connection_code(driver, "connect", root) if "# {connect}\n" in "".join(files.values()) else Code(),
    }
    found = dict(files)
    for name in files:
        for slot, code in slots.items():
            if (line := f"# {{{slot}}}\n") in found[name]:
                found[name] = _filled(found[name], line, code)
        found[name] = found[name].replace('"{engine}"', f'"{use.engine}"')
    return found


def _filled(text: str, line: str, code: Code) -> str:
    """Return a module with code, and what that imports, in place of a line."""
    if not code.text:
        before, _, after = text.partition(line)
        return before.rstrip("\n") + "\n\n" + after.lstrip("\n") if before.endswith("\n\n") else before + after
    is_block = code.text.startswith("def ")
    before, _, after = text.partition(line)
    above = "\n\n\n" if is_block else before[len(before.rstrip("\n")) :]
    below = "\n\n" if is_block and code.text.rpartition("\n")[2].startswith(" ") else after[: -len(after.lstrip("\n"))]
    return arranged(before.rstrip("\n") + above + code.text + "\n" + below + after.lstrip("\n"), code.imports)
