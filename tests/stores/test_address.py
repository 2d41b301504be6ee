"""The option that names a store, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessiontap import stores
from sessiontap.proxy import settings
from sessiontap.stores import StoreAddress, StoreAddressError, parse

PASSWORD = {"SESSIONTAP_STORE_PASSWORD": "hunter2"}


@pytest.mark.parametrize(
    ("option", "address"),
    [
        pytest.param("redis://store", StoreAddress("store"), id="the least"),
        pytest.param("redis://10.0.0.5:6380/2", StoreAddress("10.0.0.5", 6380, 2), id="port and database"),
        pytest.param("rediss://store", StoreAddress("store", tls=True), id="TLS"),
        pytest.param("redis://me%40x@store", StoreAddress("store", user="me@x"), id="a user"),
        pytest.param("redis://store?prefix=ci", StoreAddress("store", prefix="ci:"), id="a prefix"),
        pytest.param("redis://store?timeout=20ms", StoreAddress("store", timeout=0.02), id="a timeout"),
        pytest.param("redis://[::1]:7000", StoreAddress("::1", 7000), id="IPv6"),
        pytest.param("valkeys://store", StoreAddress("store", tls=True), id="Valkey's own scheme"),
        pytest.param("unix:///run/redis.sock", StoreAddress("localhost", path="/run/redis.sock"), id="a socket"),
        pytest.param(
            "unix://me@/run/redis.sock?database=2&prefix=ci",
            StoreAddress("localhost", database=2, user="me", prefix="ci:", path="/run/redis.sock"),
            id="a socket, with all",
        ),
    ],
)
def test_addresses(option: str, address: StoreAddress) -> None:
    assert parse(option, {}) == address


@pytest.mark.parametrize(
    ("option", "said"),
    [
        pytest.param("store:6379", "'store:6379' is no address of a store", id="no scheme"),
        pytest.param("http://store", "'http://store' is no address of a store", id="another scheme"),
        pytest.param("redis+sentinel://store", "Sentinels are not asked", id="Sentinel"),
        pytest.param("unix://store/run", "'unix://store/run' is no address of a store", id="a socket's host"),
        pytest.param("redis:///run", "'redis:///run' is no address of a store", id="no host"),
        pytest.param("unix:///run?database=x", "the database 'x' is no number", id="a socket's database"),
        pytest.param("redis://store:port", "it is no address of a store", id="no port"),
        pytest.param("redis://:hunter2@store", "a password does not belong into an option", id="a password"),
        pytest.param("redis://store/first", "the database 'first' is no number", id="no database"),
        pytest.param("redis://store?timeot=1s", "'timeot' is not known", id="a slip"),
        pytest.param("redis://store?timeout=5", "its timeout is not understood", id="no unit"),
        pytest.param("redis://store?timeout=1m", "its timeout is not understood", id="too long"),
    ],
)
def test_what_is_wrong_is_said_without_a_password(option: str, said: str) -> None:
    with pytest.raises(StoreAddressError, match=said) as raised:
        parse(option, PASSWORD)
    assert "hunter2" not in str(raised.value)


def test_the_password_comes_from_the_environment_and_is_shown_nowhere() -> None:
    address = parse("redis://store", PASSWORD)
    assert address.password == "hunter2"
    assert "hunter2" not in f"{address} {address!r}"


def test_without_its_library_the_start_ends_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "is_installed", lambda: False)
    options = {option.name: option.default for option in settings.OPTIONS} | {"session_store": "redis://store"}
    with pytest.raises(settings.SettingsError, match=r"pip install 'sessiontap\[redis\]'"):
        settings.parse(options, {}, tmp_path)


@pytest.mark.parametrize(
    ("option", "password", "is_in_clear"),
    [
        pytest.param("redis://10.0.0.5", "secret", True, id="another machine"),
        pytest.param("redis://10.0.0.5", "", False, id="no password"),
        pytest.param("rediss://10.0.0.5", "secret", False, id="TLS"),
        pytest.param("redis://127.0.0.1", "secret", False, id="this machine"),
        pytest.param("unix:///run/redis.sock", "secret", False, id="a socket"),
    ],
)
def test_a_password_in_clear(option: str, password: str, is_in_clear: bool) -> None:
    assert parse(option, {"SESSIONTAP_STORE_PASSWORD": password}).is_password_in_clear is is_in_clear
