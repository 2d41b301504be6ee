"""Commands run in a home of their own, in UTC."""

from __future__ import annotations

from tests.cli.conftest import own_place as own_place
