"""Options: which file and folder they name, and what is said of a value that is wrong."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from sessiontap.proxy.settings import OPTIONS, SettingsError, config_names, parse, user_set

DEFAULTS = {option.name: option.default for option in OPTIONS}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("rules.yaml", "mine.yaml", "theirs.yaml"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("option", "environ", "expected"),
    [
        pytest.param("mine.yaml", {"SESSIONTAP_RULES": "theirs.yaml"}, "mine.yaml", id="the option comes first"),
        pytest.param("", {"SESSIONTAP_RULES": "theirs.yaml"}, "theirs.yaml", id="then the environment"),
        pytest.param("", {}, "rules.yaml", id="then ./rules.yaml"),
    ],
)
def test_rules_file(folder: Path, option: str, environ: dict[str, str], expected: str) -> None:
    assert parse(DEFAULTS | {"session_rules": option}, environ, folder).rules == folder / expected


def test_without_any_rules_file_the_built_in_defaults_are_used(tmp_path: Path) -> None:
    assert parse(DEFAULTS, {}, tmp_path).rules is None


@pytest.mark.parametrize(
    ("option", "environ", "expected"),
    [
        pytest.param("/a", {"SESSIONTAP_TRACE": "/b"}, "/a", id="the option comes first"),
        pytest.param("", {"SESSIONTAP_TRACE": "/b"}, "/b", id="then the environment"),
        pytest.param("", {}, "/home/ada/.sessiontap/trace", id="then the home folder"),
        pytest.param("~/t", {}, "/home/ada/t", id="a tilde"),
    ],
)
def test_trace_folder(
    folder: Path, option: str, environ: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))  # where this user may have a stand-in for a home folder
    assert str(parse(DEFAULTS | {"session_trace": option}, environ, folder).trace) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("always", 0.0), ("never", None), ("1s", 1.0), ("250ms", 0.25), ("0.5s", 0.5), ("2m", 120.0)],
)
def test_fsync(folder: Path, text: str, seconds: float | None) -> None:
    assert parse(DEFAULTS | {"session_fsync": text}, {}, folder).fsync == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("256MB", 256 << 20), ("1GB", 1 << 30), ("1.5 gb", 3 << 29), ("16mb", 16 << 20)]
)
def test_memory(folder: Path, text: str, size: int) -> None:
    assert parse(DEFAULTS | {"session_memory": text}, {}, folder).memory == size


def test_workers_share_the_memory(folder: Path) -> None:
    assert parse(DEFAULTS | {"session_memory": "64MB"}, {}, folder, workers=4).memory == 16 << 20


@pytest.mark.parametrize(
    ("options", "environ", "said"),
    [
        pytest.param({"session_rules": "gone.yaml"}, {}, "gone.yaml (named by --set session_rules)", id="no such file"),
        pytest.param({}, {"SESSIONTAP_RULES": "no.yaml"}, "no.yaml (named by SESSIONTAP_RULES)", id="nor that"),
        pytest.param({"session_fsync": "banana"}, {}, "session_fsync='banana' is not understood", id="no duration"),
        pytest.param({"session_memory": "lots"}, {}, "session_memory='lots' is not understood", id="no size"),
        pytest.param({"session_memory": "256"}, {}, "Give a size such as '256MB'", id="a size without a unit"),
        pytest.param({}, {"SESSIONTAP_TRACE": os.pathsep.join("ab")}, "names several folders", id="several logs"),
        pytest.param({"session_memory": "1MB"}, {}, "Give at least '16MB'", id="too small a size"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, options: dict[str, str], environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse(DEFAULTS | options, environ, folder)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["--set", "connection_strategy=eager"], True, id="set, in two words"),
        pytest.param(["--set=connection_strategy=eager"], True, id="set, in one word"),
        pytest.param(["--set", "tcp_timeout=5"], False, id="another option"),
        pytest.param([], False, id="nothing"),
    ],
)
def test_a_value_the_user_gave_is_known_even_where_it_is_the_default(
    tmp_path: Path, arguments: list[str], expected: bool
) -> None:
    assert user_set("connection_strategy", arguments, str(tmp_path)) is expected


def test_mitmproxys_config_file_counts_as_the_user(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("tcp_timeout: 30\n")
    assert config_names(str(tmp_path)) == {"tcp_timeout"}
    assert user_set("tcp_timeout", [], str(tmp_path))


@pytest.mark.parametrize("broken", ["a: [", "- a list", ""])
def test_a_config_file_that_mitmproxy_will_refuse_is_not_our_fault(tmp_path: Path, broken: str) -> None:
    (tmp_path / "config.yaml").write_text(broken)
    assert config_names(str(tmp_path)) == set()
