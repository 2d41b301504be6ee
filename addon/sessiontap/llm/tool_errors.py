"""Errors that a tool's result states in its text: an exit status of a shell, an MCP result's `isError`.

Known agents put the exit status of a command into the text that the model reads. Each form is looked for in results of
the tools alone that write it, and where they write it; anything else states nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sessiontap.llm.pick import dig, flag, parse

_LONGEST = 1 << 20
"""Characters of a result that is read as JSON."""
_HEAD, _TAIL = 2_000, 2_000
"""Characters at both ends of a result among which an exit status stands."""


class ExitForm(NamedTuple):
    """The place of an exit status in a result's text."""

    agent: str
    tools: frozenset[str]
    pattern: re.Pattern[str]
    """Its group is the status."""
    at_end: bool = False
    """It stands behind the output."""


FORMS: tuple[ExitForm, ...] = (
    # Claude Code marks a failed command with is_error, too; the text alone stays when a client drops the mark.
    ExitForm("claude-code", frozenset({"Bash"}), re.compile(r"\A(?:Error: )?Exit code (\d+)\b")),
    # codex-rs/core/src/tools/mod.rs, format_exec_output_for_model_freeform
    ExitForm("codex", frozenset({"shell", "shell_command", "local_shell"}), re.compile(r"\AExit code: (-?\d+)\n")),
    # packages/core/src/tools/shell.ts of gemini-cli, which qwen-code has, too; newer versions leave out a status of 0
    ExitForm(
        "gemini-cli",
        frozenset({"run_shell_command"}),
        re.compile(r"(?m)^Exit Code: (-?\d+)(?:\n(?:Signal|Background PIDs|Process Group PGID): [^\n]*)*\Z"),
        at_end=True,
    ),
    # codex-rs/core/src/tools/context.rs, ExecCommandToolOutput::response_text
    ExitForm("codex", frozenset({"exec_command", "write_stdin"}), re.compile(r"(?m)^Process exited with code (-?\d+)")),
)


def states_error(tool: str | None, result: str) -> bool | None:
    """Return whether a result's text states an error, or that there was none; None if it states neither."""
    if result[:1] == "{" and len(result) <= _LONGEST and result.rstrip()[-1:] == "}":
        return _in_json(result)
    for form in FORMS:
        if tool in form.tools:
            where = result[-_TAIL:] if form.at_end else result[:_HEAD]
            if found := form.pattern.search(where):
                return int(found[1]) != 0
    return None


def _in_json(result: str) -> bool | None:
    """`isError` of an MCP result; the exit code of Codex's `{"output", "metadata": {"exit_code"}}`."""
    if '"isError"' not in result and '"exit_code"' not in result:
        return None
    value, _ = parse(result)
    if (stated := flag(value, "isError")) is not None:
        return stated
    code = dig(value, "metadata", "exit_code")
    stated = isinstance(code, int) and not isinstance(code, bool) and isinstance(dig(value, "output"), str)
    return code != 0 if stated else None
