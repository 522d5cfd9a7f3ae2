"""The commands `pages`, `site` and `advise`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix.catalogue import drivers
from matrix.catalogue.launchers import applications, launchers, works_with
from matrix.errors import MatrixError
from matrix.pages import check, words
from matrix.pages.facts import load
from matrix.pages.launched import failure, files_for, find_application, find_launcher, unknown
from matrix.pages.site import write_site
from matrix.pages.words import prose
from matrix.records.results import RESULTS

if TYPE_CHECKING:
    import argparse

    from matrix.pages.facts import Facts
    from matrix.pages.launched import Answer


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

    add = subparsers.add_parser("site", help="write the source of the site, for Sphinx", allow_abbrev=False)
    add.set_defaults(command=_site)
    add.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder, which is emptied first")
    _add_results(add)

    add = subparsers.add_parser("advise", help="print the code that is tested for a stack", allow_abbrev=False)
    add.set_defaults(command=_advise)
    add.add_argument("--driver", required=True, metavar="NAME", help="the driver")
    add.add_argument("--orm", metavar="NAME", default="none", help=f"{', '.join(applications())} (default none)")
    add.add_argument("--pool", action="store_true", help="the ORM's own pool, such as Django's OPTIONS[\"pool\"]")
    add.add_argument(
        "--launcher", metavar="NAME", default="process_pool", help=f"{', '.join(launchers())} (default process_pool)"
    )
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


def _site(options: argparse.Namespace) -> int:
    print(f"{write_site(load(options.results), options.output)} pages")
    return 0


def _advise(options: argparse.Namespace) -> int:
    facts = load(options.results)
    driver = _driver(facts, options.driver)
    launcher = find_launcher(options.launcher, facts.root)
    application = find_application(options.orm, pool=options.pool, root=facts.root)
    if not works_with(application, drivers(facts.root)[driver]):
        fit = (
            one.facts.title for one in applications(facts.root).values() if works_with(one, drivers(facts.root)[driver])
        )
        raise MatrixError(f"{driver} is not run with {application.facts.title}, but as: {', '.join(fit)}")
    found = files_for(facts, driver, application.name, launcher.name, transport=options.transport)
    print("\n".join(advice(found, options.launcher, options.transport)))
    return 0


def advice(found: Answer, called: str, transport: str) -> list[str]:
    """Return what `advise` prints, as lines: what happens without a remedy, and the files of each that holds.

    `called` is the launcher's name as it was given.
    """
    launcher, title = found.launcher, found.application.facts.title
    lines = [f"{launcher.facts.title}, {title}, {found.driver}, {transport}"]
    if called in launcher.facts.common_names:
        besides = launcher.facts.common_names[called]
        lines += prose(
            f"{called} was not run: it forks as {launcher.name} does, and this is what was seen there. {besides}"
        )
    lines += [*prose(launcher.facts.forks), *prose(launcher.facts.leaves)]
    if not found.was_run:
        return [*lines, "", *prose(_not_run(found))]
    if found.without:
        lines += ["", *prose(found.application.facts.hazard)]
        text = found.without.results if found.without.holds else failure(found.without)
        lines += prose(f"Without a remedy: {text}.")
    if found.nothing_needed:
        lines += ["", "Nothing is needed."]
        if found.offers:
            others = ", ".join(f"{offer.remedy} ({offer.results})" for offer in found.offers)
            lines += prose(f"These were run here too, and work: {others}")
    elif not found.offers:
        lines += ["", "No remedy that was run works here."]
    else:
        for number, offer in enumerate(found.offers, 1):
            lines += ["", *prose(f"{number}. {offer.advice.title} ({offer.remedy}: {offer.results})")]
            lines += [line for sentence in offer.cost for line in prose(f"* {sentence}", 2)]
            for name, text in offer.advice.files.items():
                lines += ["", f"  {name}:", "", *words.code(text.rstrip("\n"))]
    if found.failing:
        lines += ["", "Do not rely on these here:"]
        lines += [line for offer in found.failing for line in prose(f"{offer.remedy}: {failure(offer)}", 2)]
    return lines


def _not_run(found: Answer) -> str:
    """Return what `advise` says of a combination that no cell covers."""
    if found.nearest is None:
        return "Not run here. No launcher has results yet: nox -s launchers makes them."
    driver, application, launcher, transport = found.nearest
    title = applications()[application].facts.title
    nearest = f"{driver} with {title} under {launcher}, over {transport}"
    return f"Not run here, so there is nothing to paste. The nearest that was run: {nearest}."


def _driver(facts: Facts, name: str) -> str:
    """Return a driver's name as its folder has it; raise MatrixError if there is none."""
    for folder, driver in facts.drivers.items():
        if name.lower() in (folder, driver.module.lower(), *map(str.lower, driver.distributions)):
            return folder
    raise unknown("driver", name, facts.drivers)
