"""Small disks that can be filled and made read-only: a tmpfs in a mount namespace of its own, gone with its shell."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from tests.support.gate import PATIENCE

_READY = "ready"
_SHELL = """
mount -t tmpfs -o size={size} none {place} && mkdir {place}/disk {place}/back &&
mount --bind {place}/disk {place}/back && echo {ready} || exit 1
while read -r line; do eval "$line"; echo "{ready} $?"; done
"""


class Disk:
    """`path` is a folder on the disk, which any process may use; nothing of it is mounted for others."""

    def __init__(self, place: Path, size: str) -> None:
        place.mkdir()
        self._place = place
        alone = ["unshare", "--mount"] + (["--user", "--map-root-user"] if os.geteuid() else [])
        shell = _SHELL.format(size=size, place=place, ready=_READY)
        try:
            self._shell = subprocess.Popen(
                [*alone, "sh", "-c", shell],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        except FileNotFoundError:
            pytest.skip("there is no unshare here, so no disk can be made")
        self._said = self._answer()
        if not self._said.endswith(_READY):
            self.__exit__(None, None, None)
            pytest.skip(f"no disk can be made here: {self._said}")
        root = Path(f"/proc/{self._shell.pid}/root{place}")
        self.path = root / "disk"
        self._back = root / "back"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait(PATIENCE)

    def fill(self) -> None:
        """Take all the room that is left."""
        with contextlib.suppress(OSError), (self._back / "ballast").open("ab", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass

    def free(self) -> None:
        """Give it back."""
        (self._back / "ballast").unlink()

    def make_read_only(self, name: str) -> Path:
        """Let nobody write in the folder `name` (files that are open stay so); a way to it past that."""
        self._do(f"mount --bind {self._place}/disk/{name} {self._place}/disk/{name}")
        self._do(f"mount -o remount,bind,ro {self._place}/disk/{name}")
        return self._back / name

    def make_writable(self, name: str) -> None:
        self._do(f"umount {self._place}/disk/{name}")

    def _do(self, command: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{command} 2>&1\n")
        self._shell.stdin.flush()
        answer = self._answer()
        assert answer.endswith(f"{_READY} 0"), answer

    def _answer(self) -> str:
        assert self._shell.stdout is not None
        said = []
        for line in self._shell.stdout:
            said.append(line.strip())
            if line.startswith(_READY):
                break
        return " ".join(said)
