from __future__ import annotations

import pytest
from tests.llm.llm_corpus import AGREEMENT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many recorded exchanges of each family read as expected, field by field."""
    if not AGREEMENT:
        return
    terminalreporter.write_sep("-", "recorded exchanges that read as expected")
    for family, (agree, of) in AGREEMENT.items():
        terminalreporter.write_line(f"{family:<20} {agree:>4} of {of:>4}")
