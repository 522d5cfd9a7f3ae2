"""Cells are found on disk, and a glob that matches nothing says what it could have been."""

from __future__ import annotations

import itertools
from urllib.parse import urlsplit

import pytest

from matrix.catalogue import Driver, cells, drivers, select
from matrix.errors import MatrixError
from matrix.records.facts import TRANSPORTS
from matrix.servers import Server, names


def test_ids_are_unique_and_have_five_parts() -> None:
    ids = [cell.id for cell in cells()]
    assert len(set(ids)) == len(ids) > 100
    assert {len(name.split("/")) for name in ids} == {5}


@pytest.mark.parametrize(
    "glob", ["bare/closed_in_child/psycopg/postgresql/tcp", "*/closed_in_child", "bare/*/psycopg/*/t*"]
)
def test_a_glob_selects(glob: str) -> None:
    chosen = select([glob], cells())
    assert chosen
    assert all(cell.id in {other.id for other in cells()} for cell in chosen)


def test_globs_add_up_and_keep_the_order() -> None:
    chosen = select(["*/closed_in_child/*/*/unix", "bare/closed_in_child/*/*/tcp"], cells())
    assert chosen == [cell for cell in cells() if cell in set(chosen)]
    assert {cell.transport for cell in chosen if cell.stack == "django"} == {"unix"}


@pytest.mark.parametrize(
    ("glob", "words"),
    [
        ("*/closed_in_chld", ["example", "'closed_in_chld'", "did you mean closed_in_child?"]),
        ("*/*/mysqlclint", ["driver", "did you mean mysqlclient?"]),
        ("*/*/psycopg/mariadb", ["not together", "--list"]),
        ("a/b/c/d/e/f", ["five parts"]),
        ("flask", ["stack", "bare, django, sqlalchemy"]),
    ],
)
def test_a_glob_that_matches_nothing_says_what_is_possible(glob: str, words: list[str]) -> None:
    with pytest.raises(MatrixError) as caught:
        select([glob], cells())
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("driver", drivers().values(), ids=lambda driver: driver.name)
def test_a_driver_names_servers_that_exist_and_urls_that_carry_any_password(driver: Driver) -> None:
    assert set(driver.facts.servers) <= set(names())
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
        assert "p@" not in url.netloc.rpartition("@")[0]
