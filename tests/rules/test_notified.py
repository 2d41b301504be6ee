"""`alerts:` at the top of the file: who is told, with which secrets, and what is refused."""

from __future__ import annotations

import pytest

from sessiontap.rules import RulesError, load_text

ENVIRONMENT = {"HOOK": "https://hooks.example/T0/secret", "TOKEN": "t-1"}


@pytest.mark.parametrize(
    ("alerts", "settings"),
    [
        ("{run: beep}", {"run": ("beep",), "webhook": None, "headers": {}}),
        ("{run: [notify-send, Sessiontap]}", {"run": ("notify-send", "Sessiontap"), "webhook": None, "headers": {}}),
        ("{webhook: https://a.example/x}", {"run": (), "webhook": "https://a.example/x", "headers": {}}),
        ("{webhook: 'http://127.0.0.1:9/x'}", {"run": (), "webhook": "http://127.0.0.1:9/x", "headers": {}}),
        (
            "{webhook: '${proxy_env.HOOK}', headers: {authorization: 'Bearer ${proxy_env.TOKEN}', x-team: blue}}",
            {
                "run": (),
                "webhook": "https://hooks.example/T0/secret",
                "headers": {"authorization": "Bearer t-1", "x-team": "blue"},
            },
        ),
    ],
    ids=["a command", "its arguments", "a webhook", "on this machine", "secrets"],
)
def test_who_is_told(alerts: str, settings: dict[str, object]) -> None:
    told = load_text(f"alerts: {alerts}").notified
    assert told is not None
    assert told.settings(ENVIRONMENT) == (settings, None)


def test_their_secrets_are_keys_of_the_proxy() -> None:
    rules = load_text("alerts: {webhook: '${proxy_env.HOOK}', headers: {x-key: '${proxy_env.TOKEN}'}}")
    assert set(rules.keys(ENVIRONMENT)) == {"https://hooks.example/T0/secret", "t-1"}


@pytest.mark.parametrize(
    ("alerts", "environment", "why"),
    [
        ("webhook: '${proxy_env.HOOK}'", {}, "a variable of the proxy's environment is not set (webhook)"),
        ("webhook: https://a.example, headers: {x-key: '${proxy_env.TOKEN}'}", {}, "is not set (x-key)"),
        ("webhook: '${proxy_env.HOOK}'", {"HOOK": "http://hooks.example/secret"}, "neither https:// nor http:// on"),
        ("webhook: '${proxy_env.HOOK}'", {"HOOK": "file:///etc/passwd"}, "neither https:// nor http:// on this"),
    ],
    ids=["no address", "no header", "in clear", "no address of the web"],
)
def test_a_webhook_that_cannot_be_told_is_none(alerts: str, environment: dict[str, str], why: str) -> None:
    told = load_text(f"alerts: {{{alerts}, run: beep}}").notified
    assert told is not None
    settings, said = told.settings(environment)
    assert (settings["run"], settings["webhook"]) == (("beep",), None)
    assert said is not None
    assert why in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("alerts", "problem"),
    [
        ("{}", "alerts: nobody is told; expected run, webhook"),
        ("{headers: {x-a: b}}", "alerts: nobody is told"),
        ("{run: beep, headers: {x-a: b}}", "alerts.headers: there is no webhook that would get them"),
        ("{run: []}", "alerts.run: the list is empty"),
        ("{webhook: hooks.example}", "alerts.webhook: 'hooks.example' is no URL"),
        ("{webhook: 'http://hooks.example/x'}", "would carry what alerts say over the network in clear"),
        ("{webhook: '${model}'}", "alerts.webhook: this cannot depend on 'model'; expected text or ${proxy_env.NAME}"),
        ("{webhook: https://a.example, headers: {Host: x}}", "alerts.headers.Host: 'Host' belongs to the connection"),
        (
            "{webhook: https://a.example, headers: {Authorization: Bearer x}}",
            "alerts.headers.Authorization: 'Authorization' holds a credential; expected ${proxy_env.NAME}",
        ),
        ("{webook: x}", "alerts.webook: unknown key 'webook'; expected one of run, webhook, headers; did you mean"),
    ],
)
def test_what_is_wrong_is_said(alerts: str, problem: str) -> None:
    with pytest.raises(RulesError) as refused:
        load_text(f"alerts: {alerts}")
    assert problem in str(refused.value)
