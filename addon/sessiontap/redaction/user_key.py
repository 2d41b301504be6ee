"""The secret behind the digests of redacted values: made once for a user, kept outside every trace folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from sessiontap import private
from sessiontap.redaction.redactor import RedactionError

SIZE = 32


def default_path() -> Path:
    return private.home() / "redact.key"


def load(path: Path | None = None) -> bytes:
    """The secret in `path` (default `~/.sessiontap/redact.key`), made there if it is missing. Raises RedactionError.

    Of several processes that make it at the same time one wins and all get the winner's; nobody ever reads half of it.
    """
    path = path or default_path()
    try:
        if not path.exists():
            _make(path)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(0o600)
        key = path.read_bytes()
    except OSError as error:
        raise RedactionError(
            f"the secret for redaction cannot be kept in {path}: {error.strerror or error}",
            "Make that folder writable, or point HOME at one that is.",
        ) from None
    if len(key) < SIZE:
        raise RedactionError(f"the secret for redaction in {path} is damaged", "Delete the file: a new one is made.")
    return key[:64]


def _make(path: Path) -> None:
    private.make(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(SIZE))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            if not path.exists():
                os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
