"""The driver that `DATABASE_URL` names by its scheme, as its folder under `drivers/` describes it."""

import difflib
import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, in configurations of versions/
    import tomli as tomllib  # type: ignore[no-redef]

url = urlsplit(os.environ.get("DATABASE_URL") or sys.exit("DATABASE_URL is not set, e.g. postgresql://..."))


def _find() -> tuple[str, dict[str, Any]]:
    """Return the name and the facts of the driver whose `driver.toml` claims the URL's scheme."""
    paths = sorted((Path(__file__).parents[1] / "drivers").glob("*/driver.toml"))
    texts = {path.parent.name: path.read_text(encoding="utf-8") for path in paths}
    # Only what has the scheme somewhere is parsed: every program pays for it.
    named = {name: tomllib.loads(text) for name, text in texts.items() if url.scheme in text}
    claimed = {name: facts for name, facts in named.items() if url.scheme in facts["schemes"]}
    if len(claimed) > 1:
        sys.exit(f"{' and '.join(claimed)} both claim DATABASE_URLs that begin with {url.scheme}://")
    if not claimed:
        schemes = [scheme for text in texts.values() for scheme in tomllib.loads(text)["schemes"]]
        nearest = difflib.get_close_matches(url.scheme, schemes, n=1, cutoff=0)
        sys.exit(
            f"no driver here takes DATABASE_URLs that begin with {url.scheme}://"
            + (f"; did you mean {nearest[0]}://?" if nearest else "")
        )
    return claimed.popitem()


name, facts = _find()
#: The driver's `connection.py`: `connect`, `session_id`, `descriptor` and what else examples need of it.
connection: Any = importlib.import_module(f"drivers.{name}.connection")
#: The module of `example_support.protocols` for the protocol that the driver speaks.
protocol: Any = importlib.import_module(f"{__package__}.protocols.{facts['protocol']}")


def use(stack: str) -> dict[str, Any]:
    """Return what the driver's facts say about its use in a stack; exit if they say that it has none there."""
    if stack not in facts["stacks"]:
        sys.exit(f"{name} is not used in the stack {stack}; its driver.toml has {', '.join(facts['stacks'])}")
    return facts["stacks"][stack]


def error_code(error: BaseException) -> str | None:
    """Return the code that an exception carries: a number other than 0 or an SQLSTATE, None if it has neither.

    An `OSError` carries it in `errno`, an exception of the driver where `code` in the driver's facts says. Raises
    AttributeError if an exception of the driver has no such attribute and the facts do not say that some lack it.
    """
    place: list[str] = []
    if isinstance(error, OSError):
        place = ["errno"]
    elif facts.get("errors", facts["module"]) in {kind.__module__.partition(".")[0] for kind in type(error).__mro__}:
        place = facts["code"].split(".")
    if place and place[0].endswith("?"):
        place[0] = place[0][:-1]
        code: Any = getattr(error, place[0], None)
    else:
        code = getattr(error, place[0]) if place else None
    for key in place[1:]:
        try:
            code = code[int(key) if key.isdigit() else key]
        except (LookupError, TypeError):
            return None
    is_code = isinstance(code, int) or (isinstance(code, str) and re.fullmatch(r"[0-9A-Z]{5}", code))
    return str(code) if code and is_code else None
