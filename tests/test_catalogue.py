"""Stacks, drivers, examples and cells are found on disk; what does not fit is an error that says what is possible."""

from __future__ import annotations

import itertools
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from matrix.catalogue import Driver, cells, drivers, examples, module, preload, select, stacks
from matrix.errors import MatrixError
from matrix.records.facts import TRANSPORTS
from matrix.servers import Server, names, product_of, protocol_of

STACK = """\
name = "{name}"
title = "{name}"
order = {order}
project = {project}
preload = ["some_orm"]
"""
DRIVER = """\
requires = ["{name}"]
distributions = ["{name}"]
module = "{name}"
implementation = "python"
protocol = "postgresql"
servers = {servers}
schemes = ["{scheme}"]
descriptor = "{descriptor}"
code = "args.0"
urls = {{tcp = "{scheme}://tcp", tls = "{scheme}://tls", unix = "{scheme}://unix"}}
page = {{about = "", descriptor = ""}}
{stacks}
"""
EXAMPLE = '''\
"""It {does}.

Hazard. It does.

{needs}Remedies: none_yet
"""
'''


def add_stack(root: Path, folder: str, name: str, order: int, project: str = "[]") -> None:
    (root / folder).mkdir()
    (root / folder / "stack.toml").write_text(STACK.format(name=name, order=order, project=project))
    (root / folder / "helper.py").write_text("")


def add_driver(
    root: Path,
    name: str,
    *,
    scheme: str = "",
    descriptor: str = "public",
    servers: str = '["postgresql"]',
    stacks: str = "[stacks.plain]",
) -> None:
    (root / "drivers" / name).mkdir(parents=True)
    text = DRIVER.format(name=name, scheme=scheme or name, descriptor=descriptor, servers=servers, stacks=stacks)
    (root / "drivers" / name / "driver.toml").write_text(text)


def add_example(root: Path, folder: str, name: str, needs: str = "") -> None:
    needs = f"Needs: {needs}\n\n" if needs else ""
    (root / folder / f"{name}.py").write_text(EXAMPLE.format(does=name, needs=needs))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with two stacks and two drivers, one of which is used in both, and examples with needs."""
    add_stack(tmp_path, "mapped", "orm", 2, '["settings.py"]')
    (tmp_path / "mapped" / "settings.py").write_text("")
    add_stack(tmp_path, "simple", "plain", 1)
    add_driver(
        tmp_path, "quick", stacks='[stacks.plain]\n[stacks.orm]\ncapabilities = ["pool"]\npreload = ["some_orm.quick"]'
    )
    add_driver(tmp_path, "opaque", descriptor="none")
    for folder in ("simple", "mapped"):
        add_example(tmp_path, folder, "closed")
        add_example(tmp_path, folder, "discarded", "descriptor")
    add_example(tmp_path, "mapped", "pooled", "pool, descriptor")
    return tmp_path


def test_stacks_are_folders_with_a_stack_toml_in_their_order(root: Path) -> None:
    assert [(name, stack.folder) for name, stack in stacks(root).items()] == [("plain", "simple"), ("orm", "mapped")]


def test_a_driver_has_cells_in_the_stacks_that_it_names_where_it_has_what_examples_need(root: Path) -> None:
    assert [cell.id.rpartition("/")[0] for cell in cells(root) if cell.transport == "tls"] == [
        "plain/closed/opaque/postgresql",
        "plain/closed/quick/postgresql",
        "plain/discarded/quick/postgresql",
        "orm/closed/quick/postgresql",
        "orm/discarded/quick/postgresql",
        "orm/pooled/quick/postgresql",
    ]
    assert {cell.transport for cell in cells(root)} == set(TRANSPORTS)
    assert len(set(cells(root))) == len(cells(root))


def test_cells_on_named_servers_are_those_of_drivers_that_use_the_product(root: Path) -> None:
    other = next(name for name in names() if product_of(name) != "postgresql")
    add_driver(root, "elsewhere", servers=f'["{product_of(other)}"]')
    found = cells(root, ("postgresql",))
    assert found == tuple(cell for cell in cells(root) if cell.driver != "elsewhere")
    assert {(cell.driver, cell.server) for cell in cells(root, (other,))} == {("elsewhere", other)}


def test_a_module_is_in_the_folder_of_its_stack(root: Path) -> None:
    cell = next(cell for cell in cells(root) if cell.stack == "orm")
    assert module(cell, root) == examples(root)[cell.stack, cell.example].module == "mapped.closed"


def test_what_is_preloaded_is_the_driver_then_the_stack_then_their_use(root: Path) -> None:
    assert preload("orm", "quick", root)[-3:] == ("quick", "some_orm", "some_orm.quick")
    assert preload("plain", "quick", root)[-2:] == ("quick", "some_orm")


def test_an_example_that_needs_what_no_driver_has_is_an_error_that_names_the_nearest(root: Path) -> None:
    add_example(root, "mapped", "mistaken", "pol")
    with pytest.raises(MatrixError, match=r"mapped/mistaken.py: no driver has 'pol' in orm; did you mean pool\?"):
        examples(root)


def test_a_need_is_one_of_its_own_stack(root: Path) -> None:
    add_example(root, "simple", "mistaken", "pool")
    with pytest.raises(MatrixError, match=r"no driver has 'pool' in plain"):
        cells(root)


def test_two_drivers_that_claim_one_scheme_are_an_error_that_names_both(root: Path) -> None:
    add_driver(root, "slow", scheme="quick")
    with pytest.raises(MatrixError, match="quick and slow both claim the scheme 'quick'"):
        drivers(root)


def test_a_driver_that_names_a_stack_which_is_not_there_is_an_error(root: Path) -> None:
    add_driver(root, "slow", stacks="[stacks.orms]")
    with pytest.raises(MatrixError, match=r"slow/driver.toml: there is no stack 'orms'; did you mean orm\?"):
        drivers(root)


def test_a_drivers_folder_that_cannot_be_imported_is_an_error(root: Path) -> None:
    add_driver(root, "not-a-name", scheme="other")
    with pytest.raises(MatrixError, match=r"drivers/not-a-name: .* put _ for -"):
        drivers(root)


def test_two_stacks_of_one_name_are_an_error(root: Path) -> None:
    add_stack(root, "others", "orm", 3)
    with pytest.raises(MatrixError, match="mapped and others both name their stack 'orm'"):
        stacks(root)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('code = "args.0"', "code = 5", ["line 9", "code"]),
        ('code = "args.0"', 'code = "args.0"\ncolour = "red"', ["colour"]),
        ('tls = "quick://tls", ', "", ["`tls`"]),
        ('descriptor = "public"', 'descriptor = "perhaps"', ["descriptor", "perhaps"]),
    ],
)
def test_a_mistake_in_a_drivers_facts_is_an_error_with_file_and_key(
    root: Path, old: str, new: str, words: list[str]
) -> None:
    path = root / "drivers" / "quick" / "driver.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(MatrixError) as caught:
        drivers(root)
    for word in ("quick/driver.toml", *words):
        assert word in str(caught.value)


def test_a_docstring_without_its_parts_is_a_problem_of_the_example(root: Path) -> None:
    (root / "simple" / "silent.py").write_text('"""It is silent."""\n')
    assert "simple/silent.py" in str(examples(root)["plain", "silent"].problem)
    assert examples(root)["plain", "closed"].problem is None


@pytest.mark.parametrize("glob", ["plain/closed/quick/postgresql/tcp", "*/closed", "plain/*/quick/*/t*"])
def test_a_glob_selects(root: Path, glob: str) -> None:
    found = select([glob], cells(root))
    assert found
    assert set(found) < set(cells(root))


def test_globs_add_up_and_keep_the_order(root: Path) -> None:
    found = select(["*/closed/*/*/unix", "plain/closed/*/*/tcp"], cells(root))
    assert found == [cell for cell in cells(root) if cell in set(found)]
    assert {cell.transport for cell in found if cell.stack == "orm"} == {"unix"}


@pytest.mark.parametrize(
    ("glob", "words"),
    [
        ("*/closd", ["example", "'closd'", "did you mean closed?"]),
        ("*/*/quik", ["driver", "did you mean quick?"]),
        ("orm/*/opaque", ["not together", "--list"]),
        ("a/b/c/d/e/f", ["5 parts"]),
        ("flask", ["stack", "orm, plain"]),
    ],
)
def test_a_glob_that_matches_nothing_says_what_is_possible(root: Path, glob: str, words: list[str]) -> None:
    with pytest.raises(MatrixError) as caught:
        select([glob], cells(root))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("driver", drivers().values(), ids=lambda driver: driver.name)
def test_a_driver_names_servers_of_its_protocol_and_urls_that_carry_any_password(driver: Driver) -> None:
    assert {protocol_of(name) for name in driver.facts.servers} == {driver.facts.protocol}
    server = Server(
        name=driver.facts.servers[0],
        product=driver.facts.servers[0],
        protocol="any",
        version="1",
        series="1",
        origin="url",
        user="u@/:",
        password="p@/:?#%",
        host="127.0.0.1",
        port=5,
        socket="/tmp/a b/s",
        ca="/tmp/c&a.pem",
        log=None,
    )
    for stack, transport in itertools.product(driver.facts.stacks, TRANSPORTS):
        url = urlsplit(driver.url(stack, transport, server, "db"))
        assert url.path == "/db"
        assert url.scheme in driver.facts.schemes
        assert "p@" not in url.netloc.rpartition("@")[0]
