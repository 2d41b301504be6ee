from __future__ import annotations

import pytest
from tests.redaction.shaped import KEY

from sessiontap.redaction import Redactor


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(KEY)
