"""A row of the matrix: a program, how it is started, and the calls that the log must hold of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tests.apps.runtimes import Runtime, Words

from sessiontap.trace import RecordedCall

ANSWER = "You asked: Why? The short answer is yes; the long one depends on the details."
QUESTION_TOKENS, ANSWER_TOKENS = 4, 20
"""Of `Why?` and of its answer, as the local LLM server counts."""


@dataclass(frozen=True)
class Asked:
    """One call, as its record has it."""

    provider: str | None = "openai"
    family: str = "openai-chat"
    model: str | None = "gpt-4o"
    operation: str = "chat"
    stream: bool = False
    input: int | None = QUESTION_TOKENS
    output: int | None = ANSWER_TOKENS
    process: str | None = None
    """The name of the process that calls; in a row None stands for the program's."""


CHAT = Asked()
STREAM = replace(CHAT, stream=True)
UNCOUNTED = replace(STREAM, input=None, output=None)
"""A stream for which the program did not ask how many tokens it took."""


def asked(call: RecordedCall) -> Asked:
    """What the record says."""
    llm = call.record["llm"]
    usage = llm["usage"] or {}
    return Asked(
        provider=llm["provider"],
        family=llm["family"],
        model=llm["request_model"],
        operation=llm["operation"],
        stream=llm["stream"],
        input=usage.get("input"),
        output=usage.get("output"),
        process=call.caller["name"] if call.caller else None,
    )


@dataclass(frozen=True)
class App:
    id: str
    runtime: Runtime
    program: str
    """A file of `programs/`, or a command of the runtime."""
    calls: tuple[Asked, ...] = (CHAT,)
    stdout: str | None = None
    """None: the answer, once for each call."""
    status: int = 0
    arguments: tuple[str, ...] = ()
    sessions: int = 1

    def command(self, folder: Path) -> Words:
        """The program's words, to be run in `folder`; skips the test if it cannot be had."""
        return [*self.runtime(folder, self.program), *self.arguments]

    @property
    def prints(self) -> str:
        return f"{ANSWER}\n" * len(self.calls) if self.stdout is None else self.stdout

    @property
    def expected(self) -> list[Asked]:
        """The calls, each with its process."""
        return [call if call.process else replace(call, process=self.program) for call in self.calls]
