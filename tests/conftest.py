"""Every run draws the same values, so that a failure repeats; SESSIONTAP_SEED=random draws new ones, and says which.

The summary shows what tests recorded as a "figure" (`record_property`).
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from tests.support.seed import IS_FIXED, SEED

# A busy machine is no fault: no test depends on how long an example takes.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", _UNTIMED, derandomize=True)
settings.register_profile("drawn", _UNTIMED, derandomize=False, print_blob=True)
settings.load_profile("fixed" if IS_FIXED else "drawn")


@pytest.hookimpl(tryfirst=True)  # before hypothesis reads its option
def pytest_configure(config: pytest.Config) -> None:
    if not IS_FIXED and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(SEED)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    over = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    if figures := [value for report in over for name, value in report.user_properties if name == "figure"]:
        terminalreporter.write_sep("-", "figures")
        terminalreporter.write_line("\n".join(figures))
    if not IS_FIXED:
        terminalreporter.write_line(f"to repeat: SESSIONTAP_SEED={SEED}")
