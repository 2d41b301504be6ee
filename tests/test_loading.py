"""The byte code of dataclasses, kept from one start to the next."""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sessiontap import loading


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    found = loading._file()
    assert found is not None
    return found


def make() -> type:
    with loading.kept_methods():

        @dataclass(frozen=True, slots=True)
        class Point:
            x: int
            y: int = 2

    return Point


def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are compiled from here on."""
    texts = list[str]()

    def counted(source: str, *arguments: object, dont_inherit: bool) -> object:
        texts.append(source)
        return compile(source, *arguments, dont_inherit=dont_inherit)  # type: ignore[call-overload]

    monkeypatch.setattr(loading, "compile", counted, raising=False)
    return texts


def test_a_second_start_compiles_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    texts = compiled(monkeypatch)
    point = make()
    assert texts == []
    assert repr(point(1)).endswith("Point(x=1, y=2)")
    assert point(1) == point(1) != point(3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point(1).x = 4


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: content[:-10], id="cut"),
        pytest.param(lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:], id="a flipped bit"),
        pytest.param(lambda content: b"\0\0\r\n" + content[4:], id="another Python's"),
    ],
)
def test_a_damaged_file_is_made_anew(file: Path, spoil: Callable[[bytes], bytes]) -> None:
    make()
    file.write_bytes(spoil(file.read_bytes()))
    assert make()(1).y == 2
    assert loading._read(file)


def test_without_leave_to_write_it_is_compiled(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert make()(1).y == 2
    assert not file.exists()


def test_a_folder_that_cannot_be_made_does_no_harm(file: Path) -> None:
    for folder in file.parents:
        if folder.parent.exists():
            folder.touch()
            break
    assert make()(1).y == 2
    assert not file.exists()


def test_what_is_no_longer_needed_is_dropped(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with loading.kept_methods():
        dataclasses.make_dataclass("Old", ["long_ago"])
    monkeypatch.setattr(loading, "MOST", 1)
    make()
    assert not any("long_ago" in text for text in loading._read(file))


def test_dataclasses_are_left_as_they_were() -> None:
    make()
    assert "exec" not in vars(dataclasses)


def test_loading_leaves_garbage_collection_on_even_if_it_fails() -> None:
    def load() -> None:
        with loading.loading():
            assert not gc.isenabled()
            raise ImportError

    with pytest.raises(ImportError):
        load()
    assert gc.isenabled()
    gc.unfreeze()
