"""The folder of a test's recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessiontap.testing.recordings import recording_of

FILE = Path("/project/tests/test_weather.py")


class TestRain:
    """A class of tests."""


@pytest.mark.parametrize(
    ("test", "of_class", "folder"),
    [
        pytest.param("test_sun", None, "test_weather/test_sun", id="a function"),
        pytest.param("test_sun", TestRain, "test_weather/TestRain/test_sun", id="a method"),
        pytest.param("test_sun[Oslo-3.5]", None, "test_weather/test_sun-Oslo-3.5", id="parameters"),
    ],
)
def test_a_recording_is_named_after_its_test(test: str, of_class: type | None, folder: str) -> None:
    assert recording_of(FILE, test, of_class, "recordings") == FILE.parent / "recordings" / folder


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("test_sun[a b]", "test_sun[a-b]", id="a character that no file's name has"),
        pytest.param("test_sun[a-]", "test_sun[a]", id="an end that is taken off"),
        pytest.param("test_sun[東京]", "test_sun[大阪]", id="no character that a file's name has"),
        pytest.param(f"test_sun[{'a' * 200}]", f"test_sun[{'a' * 201}]", id="names that are too long"),
    ],
)
def test_no_two_tests_share_a_recording(one: str, other: str) -> None:
    folders = {recording_of(FILE, test, None, "recordings") for test in (one, other)}
    assert len(folders) == 2
    assert all(len(folder.name) <= 100 and folder.name.isascii() for folder in folders)
