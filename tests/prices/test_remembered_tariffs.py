"""A tariff that was looked up is not looked up again, and is the same."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sessiontap.prices import RememberedTariffs, catalogue
from sessiontap.prices.tariff import Rates, Tariff, Unknown

TIME = 1_763_701_200 * 10**9  # 2025-11-21
DAY = catalogue.DAY
GPT = ("openai", ("gpt-4o",), TIME, None)


@pytest.fixture
def kept(tmp_path: Path) -> RememberedTariffs:
    """With one tariff, and one reason why there is none, in its file."""
    found = RememberedTariffs(tmp_path / "tariffs.json", "1")
    found.find(*GPT)
    with pytest.raises(Unknown):
        found.find("openai", ("no such model",), TIME, None)
    found.save()
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The questions that the list gets from now on; its answer is a tariff of nothing."""
    asked: list[Any] = []

    def find(*question: Any) -> Tariff:
        asked.append(question)
        return Tariff(((-1, Rates(Decimal(0), Decimal(0))),))

    monkeypatch.setattr(catalogue, "find", find)
    return asked


def test_the_next_process_gets_the_same_answers_without_the_list(
    kept: RememberedTariffs, tmp_path: Path, asked: list[Any]
) -> None:
    again = RememberedTariffs(tmp_path / "tariffs.json", "1")
    assert again.find(*GPT) == kept.find(*GPT)
    assert again.find(*GPT).at(10).input == Decimal("2.5")
    with pytest.raises(Unknown, match="does not know the model no such model"):
        again.find("openai", ("no such model",), TIME, None)
    assert asked == []


def test_the_next_process_knows_the_windows_without_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tariffs.json"
    first = RememberedTariffs(file, "1")
    assert (first.window("openai", ("gpt-4o",)), first.window("openai", ("no such model",))) == (128_000, None)
    first.save()
    monkeypatch.setattr(catalogue, "window", lambda *question: pytest.fail(f"the list is asked: {question}"))
    again = RememberedTariffs(file, "1")
    assert (again.window("openai", ("gpt-4o",)), again.window("openai", ("no such model",))) == (128_000, None)


def test_a_file_of_a_version_that_kept_no_windows_is_of_use(
    kept: RememberedTariffs, tmp_path: Path, asked: list[Any]
) -> None:
    file = tmp_path / "tariffs.json"
    file.write_text(json.dumps({name: one for name, one in json.loads(file.read_text()).items() if name != "windows"}))
    again = RememberedTariffs(file, "1")
    assert again.find(*GPT) == kept.find(*GPT)
    assert again.window("openai", ("gpt-4o",)) == 128_000
    assert asked == []


@pytest.mark.parametrize(
    ("version", "question"),
    [
        pytest.param("2", GPT, id="another version of the list"),
        pytest.param("1", ("openai", ("gpt-4o",), TIME + DAY, None), id="another day"),
        pytest.param("1", ("openai", ("gpt-4o",), TIME, "batch"), id="another tier"),
        pytest.param("1", ("openai", ("gpt-4o-mini",), TIME, None), id="another model"),
    ],
)
def test_another_question_is_asked(
    kept: RememberedTariffs, tmp_path: Path, asked: list[Any], version: str, question: tuple[Any, ...]
) -> None:
    again = RememberedTariffs(tmp_path / "tariffs.json", version)
    again.find(*question)
    again.find(*question)
    assert asked == [(*question, None)]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="no version"),
        pytest.param('{"version": "1", "tariffs": [["x", [[1, {"input": "x"}]]]]}', id="a key that is none"),
        pytest.param('{"version": "1", "tariffs": [[["p", ["m"]], [[1, {"input": "x"}]]]]}', id="a rate that is none"),
        pytest.param('{"version": "1", "tariffs": [[["p", ["m"]], [[1, "x"]]]]}', id="rates that are none"),
        pytest.param("[" * 100_000, id="nested too deeply"),
    ],
)
def test_a_file_that_is_of_no_use_is_done_without(tmp_path: Path, asked: list[Any], content: str) -> None:
    file = tmp_path / "tariffs.json"
    file.write_text(content)
    found = RememberedTariffs(file, "1")
    found.find(*GPT)
    assert len(asked) == 1
    found.save()
    assert json.loads(file.read_text())["version"] == "1"
    assert file.stat().st_mode & 0o777 == 0o600


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path, asked: list[Any]) -> None:
    found = RememberedTariffs(tmp_path / "nowhere" / "at all" / "tariffs.json", "1")
    found.find(*GPT)
    found.save()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_take_its_name_leaves_nothing_beside_it(tmp_path: Path, asked: list[Any]) -> None:
    (tmp_path / "tariffs.json").mkdir()
    found = RememberedTariffs(tmp_path / "tariffs.json", "1")
    found.find(*GPT)
    found.save()
    assert [path.name for path in tmp_path.iterdir()] == ["tariffs.json"]


def test_a_price_by_the_hour_is_not_kept(tmp_path: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "is_by_the_hour", lambda provider, names: True)
    found = RememberedTariffs(tmp_path / "tariffs.json", "1")
    found.find(*GPT)
    found.find(*GPT)
    assert len(asked) == 2
