"""The commands `pages` and `advise`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix.catalogue import STACK_TITLES, STACKS
from matrix.catalogue.pattern import pasted
from matrix.errors import MatrixError
from matrix.pages import check, choice, words
from matrix.pages.facts import load
from matrix.pages.words import prose
from matrix.records.outcomes import by_outcome
from matrix.records.results import RESULTS

if TYPE_CHECKING:
    import argparse

    from matrix.pages.facts import Facts
    from matrix.pages.prose import Launcher

#: What `--orm` takes.
ORMS = ("none", *STACKS)


def add_commands(subparsers: Any) -> None:
    """Add the commands to an argparse parser's subparsers, each with its function as `command`.

    The function takes the parsed arguments and returns the exit status.
    """
    add = subparsers.add_parser("pages", help="write the generated pages, or check them", allow_abbrev=False)
    add.set_defaults(command=_pages)
    add.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit 1 if a page is stale, a link dead, or a statement not what results show",
    )
    _add_results(add)

    add = subparsers.add_parser("advise", help="print the code that is tested for a stack", allow_abbrev=False)
    add.set_defaults(command=_advise)
    add.add_argument("--driver", required=True, metavar="NAME", help="the driver")
    add.add_argument("--orm", choices=ORMS, default="none", help="the ORM (default none)")
    add.add_argument("--launcher", metavar="NAME", default="process-pool", help="what starts the processes")
    how = add.add_mutually_exclusive_group()
    how.add_argument("--tls", dest="transport", action="store_const", const="tls", help="the connection is encrypted")
    how.add_argument("--unix", dest="transport", action="store_const", const="unix", help="over a Unix socket")
    add.set_defaults(transport="tcp")
    _add_results(add)


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="DIR",
        help="the folder of results (default matrix/results)",
    )


def _pages(options: argparse.Namespace) -> int:
    facts = load(options.results)
    if options.check:
        problems = check.problems(facts)
        print("\n".join(problems) or "every page is as it should be")
        return 1 if problems else 0
    changed = check.write(facts)
    print("\n".join(changed) or "every page is as it should be")
    return 0


def _advise(options: argparse.Namespace) -> int:
    facts = load(options.results)
    driver = _driver(facts, options.driver) or ""
    launchers = {launcher.id: launcher for launcher in facts.prose.launchers}
    if options.launcher not in launchers:
        raise MatrixError(f"there is no launcher {options.launcher!r}; there are {', '.join(launchers)}")
    stack, served = _stack(options.orm) or "bare", facts.drivers[driver].stacks
    if stack not in served:
        orms = " and ".join(STACK_TITLES[name] for name in served)
        raise MatrixError(f"{driver} is not run with {STACK_TITLES[stack]}, but with {orms}")
    print("\n".join(advice(facts, launchers[options.launcher], stack, driver, options.transport)))
    return 0


def advice(facts: Facts, launcher: Launcher, stack: str, driver: str, transport: str) -> list[str]:
    """Return what `advise` prints, as lines: the remedy, its code and cost, what does not protect, the proof."""
    found = choice.advise(facts, launcher, stack, driver, transport)
    lines = [f"{launcher.title}, {STACK_TITLES[stack]}, {driver}, {transport}"]
    lines += [*prose(launcher.forks), *prose(launcher.exits)]
    if found.best is None:
        lines += ["", "No remedy is tested here: none has results."]
    else:
        example = facts.examples[stack, found.best.remedy]
        lines += ["", *prose(f"Write {found.best.remedy}: {example.title}"), ""]
        lines += [
            *words.pattern(pasted(facts.root / example.path, driver, facts.root)),
            "",
            f"It stands in {example.path}.",
        ]
        if launcher.wiring and "_at_fork" not in found.best.remedy:
            lines += ["", *prose(launcher.where), "", *words.code(launcher.wiring.strip())]
        lines += ["", "What it costs:", *(line for sentence in found.cost for line in prose(sentence, 2))]
        lines += ["", "Tested in:", *(f"  {seen.id}: {seen.outcome}" for seen in found.best.cells)]
        if found.covered:
            lines += prose(f"It is for {', '.join(found.covered)}, which do harm here.", 2)
    if found.others:
        others = ", ".join(f"{proof.remedy} ({proof.quality})" for proof in found.others)
        lines += ["", *prose(f"Tested here too: {others}")]
    if guards := [proof.remedy for proof in found.failing if proof.guards]:
        lines += prose(f"Raises in a child that uses an inherited connection, to find such code: {', '.join(guards)}")
    recommended = {advice.example for advice, _ in found.folklore}
    fails = [(f"{advice.says} {advice.example}", cells) for advice, cells in found.folklore]
    fails += [(p.remedy, p.cells) for p in found.failing if not p.guards and p.remedy not in recommended]
    if fails:
        lines += ["", "What does not protect here, though it is recommended:"]
        lines += [line for text, cells in fails for line in prose(f"{text}: {', '.join(by_outcome(cells))}", 2)]
    return [*lines, *(["", *prose(launcher.without)] if launcher.without else [])]


def _driver(facts: Facts, name: str | None) -> str | None:
    """Return a driver's name as its folder has it; raise MatrixError if there is none."""
    if name is None:
        return None
    for folder, driver in facts.drivers.items():
        if name.lower() in (folder, driver.module.lower(), *map(str.lower, driver.distributions)):
            return folder
    raise MatrixError(f"there is no driver {name!r}; there are {', '.join(facts.drivers)}")


def _stack(orm: str | None) -> str | None:
    return "bare" if orm == "none" else orm
