"""The corpus of public reports: it can be read, and its own validator refuses what does not fit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.errors import MatrixError
from tests import public_reports
from tests.public_reports import FOLDER, FORK, reports


def write(folder: Path, cause: str, text: str) -> None:
    (folder / f"{cause}.toml").write_text(text, encoding="utf-8")


def test_every_report_fits_its_record_and_the_kinds_are_counted(record_property: Callable[[str, object], None]) -> None:
    everything = [(cause, report) for cause, some in reports().items() for report in some]
    for key in ("driver", "orm", "launcher", "protocol"):
        counts = Counter(getattr(report, key) or "unknown" for _, report in everything)
        record_property(key, dict(counts.most_common()))
    record_property("cause", dict(Counter(cause for cause, _ in everything).most_common()))
    assert reports()[FORK]
    assert len(everything) > len(reports()[FORK])


def test_no_report_names_a_person() -> None:
    for path in FOLDER.glob("*.toml"):
        homes = [part for part in path.read_text(encoding="utf-8").split() if "/Users/" in part]
        assert not homes, path.name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[report]]\nsource = "https://a/1"', "text"),
        ('[[report]]\nsource = "https://a/1"\ntext = " "', "`text` is empty"),
        ('[[report]]\nsource = "a#1"\ntext = "x"', "source"),
        ('[[report]]\nsource = "https://a/1"\ntext = "x"\nyear = 1066', "year"),
        ('[[report]]\nsource = "https://a/1"\ntext = "x"\nsettled = "no"', "settled"),
        ('[[report]]\nsource = "https://a/1"\ntext = "x"\nauthor = "a person"', "author"),
        ('[[report]]\nsource = "https://a/1"\ntext = "x"\ndriver = "the first"', "driver"),
    ],
)
def test_a_report_that_does_not_fit_is_refused_with_file_and_key(tmp_path: Path, text: str, problem: str) -> None:
    write(tmp_path, "fork", text)
    with pytest.raises(MatrixError, match=rf"fork\.toml.*{problem}"):
        public_reports.reports(tmp_path)


def test_a_source_that_stands_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "fork", '[[report]]\nsource = "https://a/1"\ntext = "x"')
    write(tmp_path, "idle", '[[report]]\nsource = "https://a/1"\ntext = "y"')
    with pytest.raises(MatrixError, match=re.escape("https://a/1 is in fork.toml already")):
        public_reports.reports(tmp_path)
