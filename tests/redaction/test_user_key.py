"""The secret behind the digests: one for a user, private, never half written."""

import threading

import pytest

from sessiontap.redaction import RedactionError, user_key


def test_it_is_made_once_and_private(tmp_path):
    path = tmp_path / "home" / "redact.key"

    first, second = user_key.load(path), user_key.load(path)

    assert first == second
    assert len(first) == user_key.SIZE
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["redact.key"]


def test_those_who_make_it_at_once_get_the_same(tmp_path):
    path = tmp_path / "redact.key"
    barrier = threading.Barrier(8)
    found: list[bytes] = []

    def load() -> None:
        barrier.wait()
        found.append(user_key.load(path))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_readable_one_is_made_private(tmp_path):
    path = tmp_path / "redact.key"
    user_key.load(path)
    path.chmod(0o644)

    user_key.load(path)

    assert path.stat().st_mode & 0o777 == 0o600


def test_one_that_was_cut_is_refused(tmp_path):
    path = tmp_path / "redact.key"
    path.write_bytes(b"short")

    with pytest.raises(RedactionError, match="damaged") as caught:
        user_key.load(path)
    assert "Delete" in caught.value.hint


def test_a_folder_that_cannot_be_made_is_said_in_words(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(RedactionError, match="cannot be kept in"):
        user_key.load(tmp_path / "file" / "redact.key")
