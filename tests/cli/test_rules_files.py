"""A command that reads or writes a rules file says which one the running proxy uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sessiontap.cli import local_proxies, rules_files
from sessiontap.cli.local_proxies import Listener, RunningProxy

FILE = Path("rules.yaml")


def proxy(rules: Path | None, pid: int = 77) -> RunningProxy:
    return RunningProxy(pid, 0.0, None, None, (Listener("regular", "", 8080),), Path(), Path(), rules)


@pytest.mark.parametrize(
    ("used", "file", "expected"),
    [
        pytest.param(FILE, FILE, "uses this file, and takes a saved change at its next call", id="this one"),
        pytest.param(
            Path("/etc/other.yaml"),
            FILE,
            "uses another file: /etc/other.yaml. To use this file, start it again with: sessiontap run "
            "--rules rules.yaml",
            id="another one",
        ),
        pytest.param(Path("/etc/other.yaml"), None, "uses another file: /etc/other.yaml", id="another one, none here"),
        pytest.param(
            None,
            FILE,
            "has no rules file, but the built-in defaults. To use this file, start it again with: sessiontap run "
            "--rules rules.yaml",
            id="none",
        ),
        pytest.param(None, None, "has no rules file, but the built-in defaults", id="none, and none here"),
    ],
)
def test_a_proxy_runs(used: Path | None, file: Path | None, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_proxies, "usable", lambda: iter([proxy(used)]))
    assert rules_files.in_use(file) == f"the proxy that runs (pid 77) {expected}"


@pytest.mark.parametrize(
    ("named", "file", "expected"),
    [
        pytest.param(None, FILE, "; one that is started in {here} takes this file", id="in this folder"),
        pytest.param(
            None,
            Path("work.yaml"),
            ". To use this file, start it with: sessiontap run --rules work.yaml",
            id="by another name",
        ),
        pytest.param(
            "work.yaml",
            Path("work.yaml"),
            "; one that is started takes this file, as SESSIONTAP_RULES says",
            id="named",
        ),
        pytest.param(
            "work.yaml",
            FILE,
            "; one that is started takes work.yaml, as SESSIONTAP_RULES says. To use this file, start it with: "
            "sessiontap run --rules rules.yaml",
            id="another one is named",
        ),
        pytest.param(
            None,
            None,
            "; one that is started in this folder has no rules file, but the built-in defaults",
            id="no file",
        ),
    ],
)
def test_no_proxy_runs(
    named: str | None, file: Path | None, expected: str, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named is not None:
        monkeypatch.setenv("SESSIONTAP_RULES", named)
    assert rules_files.in_use(file) == f"no proxy runs here{expected.format(here=own_place)}"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(proxy(FILE, os.getpid()), {"PATH": True, "NO_SUCH_VARIABLE": False}, id="it runs"),
        pytest.param(proxy(FILE, 2**22 + 1), {"PATH": None, "NO_SUCH_VARIABLE": None}, id="it has ended"),
        pytest.param(None, {"PATH": None, "NO_SUCH_VARIABLE": None}, id="none runs"),
    ],
)
def test_a_proxy_is_asked_which_variables_are_set(asked: Any, expected: dict[str, bool | None]) -> None:
    assert {name: local_proxies.has_variable(asked, name) for name in expected} == expected
