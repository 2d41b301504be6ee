"""The parts that `score` and `relabel` share: what a user names, and who the user is."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Literal, NamedTuple

from sessiontap.cli.errors import Failure

if TYPE_CHECKING:
    from sessiontap.trace import Trace


class AnnotationTarget(NamedTuple):
    """A session or a call that was named, by its id."""

    kind: Literal["session", "call"]
    id: str


def target(log: Trace, asked: str) -> AnnotationTarget:
    """The session that is meant, else the call: `@1` is a session, `@1/3` a call of it. Raises Failure."""
    from sessiontap.trace import NotInTrace
    from sessiontap.trace.files import Ambiguous

    if "/" in asked:
        return AnnotationTarget("call", log.call(asked).id)
    try:
        return AnnotationTarget("session", log.query_session_id(asked))
    except Ambiguous:
        raise
    except NotInTrace as error:
        try:
            return AnnotationTarget("call", log.call(asked).id)
        except Ambiguous:
            raise
        except NotInTrace:
            message = f"{asked!r} names neither a session nor a call in {log.shown_folder}"
            raise Failure(message, "list them with `sessiontap ls` and `sessiontap calls`") from error


def user() -> str | None:
    """The name of this user; None if it is not known."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None
