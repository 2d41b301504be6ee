"""What is compiled while modules are loaded, kept from one start to the next."""

from __future__ import annotations

import dataclasses
import gc
import re
import sys
import typing
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
    with loading.kept_code():

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
    assert loading._read(file).codes


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
    with loading.kept_code():
        dataclasses.make_dataclass("Old", ["long_ago"])
    monkeypatch.setattr(loading, "MOST", 1)
    make()
    assert not any("long_ago" in text for _, text in loading._read(file).codes)


def test_named_tuples_and_annotations_are_compiled_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_both() -> tuple[Any, Any]:
        with loading.kept_code():
            return namedtuple("Pair", "one two"), NamedTuple("Typed", [("one", "list[int]")])

    texts = compiled(monkeypatch)
    make_both()
    assert "list[int]" in texts
    assert any("one, two" in text for text in texts)
    texts.clear()
    pair, typed = make_both()
    assert texts == []
    assert pair(1, two=2) == (1, 2)
    assert typing.get_type_hints(typed) == {"one": list[int]}


PATTERNS = [
    pytest.param(r"(?P<year>\d{4})-(?P<month>\d\d)|([a-f]+)", 0, "at 2026-11 or beef", id="groups"),
    pytest.param(r"[^\W\d_]+(?=!)", re.IGNORECASE, "Größe! ΣΑΣ!", id="words that ignore case"),
    pytest.param("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", 0, "\ufffe", id="all of Unicode"),
    pytest.param(rb"""(["'])(?:\\.|(?!\1).)*\1""", re.DOTALL, b"a='b\\'c' d=\"e\"", id="bytes"),
    pytest.param(r"(?s:a.b) # a comment", re.VERBOSE | re.MULTILINE, "a\nb", id="flags"),
]


@pytest.mark.parametrize(("pattern", "flags", "text"), PATTERNS)
def test_a_kept_pattern_is_the_compiled_one(
    file: Path, monkeypatch: pytest.MonkeyPatch, pattern: Any, flags: int, text: Any
) -> None:
    re.purge()
    usual = re.compile(pattern, flags)
    re.purge()
    with loading.kept_code():
        re.compile(pattern, flags)
    re.purge()
    # Fails as well if a newer Python builds its patterns otherwise: they are then compiled at every start.
    monkeypatch.setattr(re._parser, "parse", None)  # type: ignore[attr-defined]
    with loading.kept_code():
        kept = re.compile(pattern, flags)
    assert kept == usual
    assert (kept.pattern, kept.flags, kept.groups, kept.groupindex) == (
        usual.pattern, usual.flags, usual.groups, usual.groupindex
    )  # fmt: skip
    found = [(one.span(), one.groups(), one.lastgroup) for one in kept.finditer(text)]
    assert found == [(one.span(), one.groups(), one.lastgroup) for one in usual.finditer(text)] != []


def test_a_form_that_no_compiler_makes_is_compiled_anew(file: Path) -> None:
    re.purge()
    with loading.kept_code():
        re.compile("ab+c")
    codes, patterns = loading._read(file)
    key = "str", "ab+c", 0
    flags, code, *more = patterns[key]
    loading._write(file, loading.Kept(codes, {**patterns, key: (flags, [*code[:-1], 4711], *more)}))
    re.purge()
    with loading.kept_code():
        assert re.compile("ab+c").search("xabbc")


@pytest.mark.parametrize("lacks", ["_compiler", "_compiler._sre", "_compiler.compile"])
def test_a_python_whose_patterns_are_built_otherwise_loads_modules(
    file: Path, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    with monkeypatch.context() as patched:
        patched.delattr(f"re.{lacks}")
        assert make()(1).y == 2
    assert loading._read(file).codes


def test_a_wrong_pattern_is_refused_as_ever(file: Path) -> None:
    with loading.kept_code(), pytest.raises(re.error):
        re.compile("(")
    assert not loading._read(file).patterns


def own_names() -> Iterator[object]:
    for module, name in ((dataclasses, "exec"), (__import__("collections"), "eval"), (typing, "compile")):
        yield vars(module).get(name)
    yield vars(re)["_compiler"].compile
    yield vars(re)["_compiler"]._sre


def test_python_is_left_as_it_was(file: Path) -> None:
    before = [*own_names()]
    make()
    re.purge()

    def load() -> None:
        with loading.kept_code():
            re.compile("left as it was")
            raise ImportError

    with pytest.raises(ImportError):
        load()
    assert [*own_names()] == before
    assert before[:3] == [None] * 3


def test_loading_leaves_garbage_collection_on_even_if_it_fails() -> None:
    def load() -> None:
        with loading.loading():
            assert not gc.isenabled()
            raise ImportError

    with pytest.raises(ImportError):
        load()
    assert gc.isenabled()
    gc.unfreeze()
