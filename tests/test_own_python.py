"""A Python that we start takes no module from the folder that it happens to run in."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from sessiontap import own_python

PACKAGE = str(own_python.PACKAGE_FOLDER)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (None, []),
        ("", []),
        ("/one:/two", ["/one", "/two"]),
        (".", []),
        ("/one:", ["/one"]),
        (":/one", ["/one"]),
        ("src:/one:./lib:../x", ["/one"]),
        (f"{PACKAGE}:/one", ["/one"]),
    ],
    ids=["unset", "empty", "absolute", "a dot", "empty at the end", "empty at the start", "relative", "ours already"],
)
def test_which_entries_of_pythonpath_stay(given: str | None, left: list[str]) -> None:
    environ = {"A": "b"} if given is None else {"A": "b", "PYTHONPATH": given}
    found = own_python.environment(environ)
    assert found["A"] == "b"
    assert found["PYTHONPATH"].split(os.pathsep) == [PACKAGE, *left]


def test_nothing_is_added_where_python_looks_anyway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("site.getsitepackages", lambda: [PACKAGE])
    assert own_python.environment({"PYTHONPATH": "."}) == {}


@pytest.mark.parametrize(
    "how",
    [
        ("-m", "sessiontap.cli", "--version"),
        ("-c", "import yaml, msgpack, sessiontap.recording.process"),
    ],
    ids=["a module", "code"],
)
def test_what_lies_in_the_working_directory_is_not_run(tmp_path: Path, how: tuple[str, ...]) -> None:
    for name in ("yaml.py", "msgpack.py", "click.py", "json.py", "sessiontap/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('a file of the working directory was run')")
    environment = own_python.environment({**os.environ, "PYTHONPATH": f".{os.pathsep}"})
    done = subprocess.run(
        own_python.command(*how), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# -- without assertions ------------------------------------------------------------------------------------------------


@pytest.fixture
def mitmproxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a mitmproxy whose byte code is cached beside it."""
    folder = tmp_path / "mitmproxy"
    folder.mkdir()
    monkeypatch.setattr(sys, "pycache_prefix", None)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    spec = ModuleSpec("mitmproxy", None, origin=str(folder / "__init__.py"))
    monkeypatch.setattr(own_python, "find_spec", lambda name: spec)
    own_python.keeps_optimized_code.cache_clear()
    yield folder
    own_python.keeps_optimized_code.cache_clear()


def test_its_byte_code_is_cached_at_the_first_start(mitmproxy: Path) -> None:
    assert own_python.keeps_optimized_code()
    assert own_python.command("x")[1:] == ["-P", "-O", "x"]


@pytest.mark.parametrize("is_cached", [True, False], ids=["cached", "not cached"])
@pytest.mark.parametrize("why", ["a folder that cannot be written", "PYTHONDONTWRITEBYTECODE"])
def test_where_it_cannot_be_cached_assertions_stay(
    mitmproxy: Path, monkeypatch: pytest.MonkeyPatch, why: str, is_cached: bool
) -> None:
    if is_cached:
        file = mitmproxy / "__pycache__" / f"__init__.{sys.implementation.cache_tag}.opt-1.pyc"
        file.parent.mkdir()
        file.write_bytes(b"")
    if why == "PYTHONDONTWRITEBYTECODE":
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
    else:
        monkeypatch.setattr(os, "access", lambda path, mode: False)

    assert own_python.keeps_optimized_code() is is_cached
    assert ("-O" in own_python.command("x")) is is_cached


def test_without_mitmproxy_there_is_nothing_to_cache(monkeypatch: pytest.MonkeyPatch, mitmproxy: Path) -> None:
    monkeypatch.setattr(own_python, "find_spec", lambda name: None)
    assert not own_python.keeps_optimized_code()


@pytest.mark.skipif(os.name != "posix", reason="a process is replaced")
@pytest.mark.parametrize("given", [[], ["-O"]], ids=["with them", "without them already"])
def test_a_process_goes_on_without_assertions_with_all_it_was_given(tmp_path: Path, given: list[str]) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "from sessiontap import own_python\n"
        "own_python.keeps_optimized_code = lambda: True\n"
        "first = os.environ.setdefault('FIRST', str(os.getpid()))\n"
        "own_python.go_on_without_assertions()\n"
        "print(__debug__, sys.argv[1:], sys.flags.utf8_mode, int(first) == os.getpid())\n"
    )
    done = subprocess.run(
        [sys.executable, *given, "-X", "utf8", str(script), "--set", "a=b c"],
        env=own_python.environment(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("False ['--set', 'a=b c'] 1 True\n", "")


def test_a_child_is_waited_for_until_it_ends_or_the_time_is_over() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        own_python.wait_for_end(child.pid, 0.01)
        assert child.poll() is None
        assert child.stdin is not None
        child.stdin.close()
        if hasattr(os, "pidfd_open"):
            own_python.wait_for_end(child.pid)
            assert child.poll() == 0


def test_a_system_that_tells_no_ends_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    own_python.wait_for_end(os.getpid())  # which has not ended


def test_a_process_ends_at_once_with_what_it_has_written() -> None:
    code = "import atexit; from sessiontap import own_python; atexit.register(print, 'late'); print('said', end='')"
    done = subprocess.run(
        own_python.command("-c", f"{code}; own_python.end_process(3)"),
        env=own_python.environment(os.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (3, "said", "")


@pytest.mark.parametrize("closed", ["1>&-", "2>&-"])
def test_a_process_ends_whatever_its_streams_are(closed: str) -> None:
    code = "from sessiontap import own_python; print('said'); own_python.end_process(3)"
    command = shlex.join(own_python.command("-c", code))
    done = subprocess.run(["sh", "-c", f"{command} {closed}"], env=own_python.environment(os.environ), check=False)
    assert done.returncode == 3
