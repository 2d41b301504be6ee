"""The master of `sessiontap run`: mitmdump's options and addons, of which only those run that have something to do."""

from __future__ import annotations

import logging
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from mitmproxy import exceptions, hooks, options
from mitmproxy.addons import modifyheaders
from mitmproxy.http import HTTPFlow
from mitmproxy.log import AddLogHook, LogEntry
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook, HttpResponseHook
from mitmproxy.test import tflow
from mitmproxy.tools.dump import DumpMaster

from sessiontap.proxy.master import ON_DEMAND, TapMaster, name_of

STAY = ("core", "block", "disableh2c", "proxyserver", "scriptloader", "nextlayer", "serverplayback", "tlsconfig")
TAP = SimpleNamespace(name="tap")


def mitmdump() -> DumpMaster:
    return DumpMaster(options.Options(), with_termlog=False)


def made(*taps: Any) -> TapMaster:
    return TapMaster(options.Options(), taps, with_termlog=False)


def names(master: DumpMaster | TapMaster) -> list[str]:
    return [name_of(addon) for addon in master.addons.chain]


async def test_every_addon_on_demand_is_one_of_mitmdumps_and_its_options_exist() -> None:
    master = mitmdump()
    assert set(ON_DEMAND) <= set(names(master))
    assert {option for wanted in ON_DEMAND.values() for option in wanted} <= set(master.options.keys())


async def test_it_has_every_option_and_command_of_mitmdump() -> None:
    theirs, ours = mitmdump(), made()
    assert ours.options.keys() == theirs.options.keys()
    assert ours.commands.commands.keys() == theirs.commands.commands.keys()
    assert ours.addons.lookup.keys() == theirs.addons.lookup.keys()


async def test_what_has_nothing_to_do_is_left_out_and_the_rest_keeps_its_order() -> None:
    full = names(mitmdump())
    assert names(made()) == [name for name in full if name not in ON_DEMAND]
    assert set(STAY) <= set(full)


async def test_the_tap_stands_where_a_script_would() -> None:
    chain = names(made(TAP))
    at = chain.index("tap")
    assert (chain[at - 1], chain[at + 1]) == ("scriptloader", "nextlayer")


@pytest.mark.parametrize(
    ("update", "name"),
    [
        ({"modify_headers": ["/~q/x/y"]}, "modifyheaders"),
        ({"map_remote": ["|one.example|two.example"]}, "mapremote"),
        ({"anticache": True}, "anticache"),
        ({"flow_detail": 1}, "dumper"),
        ({"dumper_filter": "~q"}, "dumper"),
        ({"proxyauth": "any"}, "proxyauth"),
        ({"mode": ["reverse:https://llm.example"]}, "updatealtsvc"),
        ({"mode": ["dns@0"]}, "dnsresolver"),
        ({"hardump": "-"}, "savehar"),
        ({"rfile": "-"}, "readfilestdin"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_option_calls_its_addon_into_its_place(update: dict[str, object], name: str) -> None:
    full = names(mitmdump())
    master = made()
    assert name not in names(master)
    master.options.update(**update)
    assert name in names(master)
    assert names(master) == [one for one in full if one in names(master)]


async def test_it_learns_what_was_set_before_it_came() -> None:
    master = made()
    master.options.update(stream_large_bodies="3m")
    told: list[set[str]] = []
    addon = master.addons.get("modifyheaders")
    assert isinstance(addon, modifyheaders.ModifyHeaders)
    addon.configure = told.append  # type: ignore[method-assign, assignment]
    master.options.update(modify_headers=["/~q/x/y"])
    assert len(told) == 1
    assert {"modify_headers", "stream_large_bodies", "flow_detail"} <= told[0]


async def test_a_wrong_value_is_refused_as_by_mitmdump() -> None:
    messages = []
    for make in (mitmdump, made):
        master: Any = make()  # type: ignore[operator]
        with pytest.raises(exceptions.OptionsError) as refused:
            master.options.update(modify_headers=["/~nonsense/a/b"])
        messages.append(str(refused.value))
        assert master.options.modify_headers == []
    assert messages[0] == messages[1]


@pytest.mark.parametrize("name", ["save_stream_filter", "dumper_filter", "readfile_filter"])
async def test_a_wrong_filter_is_refused_though_nothing_is_filtered_yet(name: str) -> None:
    with pytest.raises(exceptions.OptionsError):
        made().options.update(**{name: "~nonsense"})


async def test_our_values_of_mitmproxys_options_are_defaults_that_the_user_changes() -> None:
    master = made()
    values = master.options.connection_strategy, master.options.tcp_timeout, master.options.flow_detail
    assert values == ("lazy", 7200, 0)
    master.options.update(flow_detail=1, tcp_timeout=600)
    assert (master.options.tcp_timeout, master.options.flow_detail) == (600, 1)


async def test_what_is_outside_of_the_chain_is_told_the_end() -> None:
    ended: list[str] = []
    master = made(SimpleNamespace(name="tap", done=lambda: ended.append("tap")))
    master.addons.get("browser").done = lambda: ended.append("browser")
    await master.done()
    assert sorted(ended) == ["browser", "tap"]


async def test_an_addon_that_a_script_adds_stays_when_an_option_calls_another() -> None:
    master = made()
    master.addons.add(SimpleNamespace(name="a script's own"))
    master.options.update(anticache=True)
    assert names(master)[-1] == "a script's own"
    assert "anticache" in names(master)


async def test_an_addon_that_comes_while_the_proxy_runs_is_told_so() -> None:
    told: list[str] = []
    master = made()
    master.addons.get("anticache").running = lambda: told.append("running")
    await master.running()
    master.options.update(anticache=True)
    assert told == ["running"]


# -- who is asked ------------------------------------------------------------------------------------------------------


def addon(
    called: list[str], name: str, *inner: Any, halts: bool = False, fails: bool = False, waits: bool = False
) -> Any:
    """One with a `request` hook, and others inside it."""

    def request(flow: HTTPFlow) -> None:
        called.append(name)
        if halts:
            raise exceptions.AddonHalt
        if fails:
            raise ValueError(name)

    async def later(flow: HTTPFlow) -> None:
        request(flow)

    return SimpleNamespace(name=name, request=later if waits else request, **({"addons": list(inner)} if inner else {}))


def chain(called: list[str]) -> list[Any]:
    module = ModuleType("a_script")
    module.addons = [addon(called, "in a script")]  # type: ignore[attr-defined]
    return [
        SimpleNamespace(name="without"),
        addon(called, "plain"),
        SimpleNamespace(name="loader", addons=[SimpleNamespace(name="script", addons=[module])]),
        addon(called, "outer", addon(called, "inner")),
        addon(called, "failing", fails=True),
        SimpleNamespace(name="an import", request=logging),
        addon(called, "waiting", waits=True),
        addon(called, "halting", halts=True),
        addon(called, "behind"),
    ]


async def triggered(addons: Any, event: hooks.Hook) -> None:
    await addons.trigger_event(event)


async def called_at_once(addons: Any, event: hooks.Hook) -> None:
    if not addons.call(event):
        await addons.handle_lifecycle(event)


@pytest.mark.parametrize(
    ("make", "ask"),
    [(mitmdump, triggered), (made, triggered), (made, called_at_once)],
    ids=["mitmdump", "ours", "ours, at once"],
)
async def test_who_is_asked(make: Any, ask: Any, caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []
    addons = make().addons
    addons.chain = chain(called)
    flow = tflow.tflow()
    await ask(addons, HttpRequestHook(flow))
    await ask(addons, HttpResponseHook(flow))
    await triggered(addons, hooks.UpdateHook([flow]))
    assert called == ["plain", "in a script", "outer", "inner", "failing", "waiting", "halting"]
    assert [record.getMessage() for record in caplog.records] == ["Addon error: failing"]


@pytest.mark.parametrize(
    ("one", "at_once"),
    [
        pytest.param({}, True, id="one that does not wait"),
        pytest.param({"fails": True}, True, id="one that fails"),
        pytest.param({"halts": True}, True, id="one that halts"),
        pytest.param({"waits": True}, False, id="one that may wait"),
        pytest.param({"waits": True, "fails": True}, False, id="one that fails later"),
    ],
)
async def test_a_hook_is_called_once_whether_it_waits_or_not(one: dict[str, bool], at_once: bool) -> None:
    called: list[str] = []
    addons = made(addon(called, "tap", **one)).addons
    event = HttpRequestHook(tflow.tflow())
    assert addons.call(event) is at_once
    if not at_once:
        assert addons.call(event) is False  # again, on its way to whoever waits for it
        await addons.handle_lifecycle(event)
    assert called == ["tap"]
    assert not addons._under_way


async def test_a_flow_that_the_user_has_stopped_is_waited_for() -> None:
    called: list[str] = []
    addons, flow = made(addon(called, "tap")).addons, tflow.tflow()
    flow.intercept()
    event = HttpRequestHook(flow)
    assert addons.call(event) is False
    await addons.handle_lifecycle(event)
    assert called == ["tap"]


@pytest.mark.parametrize(("host", "waits"), [("mitm.it", True), ("api.openai.com", False)])
async def test_only_a_request_for_mitmproxys_own_pages_waits_for_them(host: str, waits: bool) -> None:
    flow = tflow.tflow()
    flow.request.host = host
    rest = made().addons.get("onboarding").request(flow)
    assert (rest is not None) is waits
    if waits:
        rest.close()


async def test_who_comes_to_the_chain_later_is_asked() -> None:
    called: list[str] = []
    master = made(addon(called, "tap"))
    await master.addons.trigger_event(HttpRequestHook(tflow.tflow()))
    master.addons.add(addon(called, "a script's own"))
    await master.addons.trigger_event(HttpRequestHook(tflow.tflow()))
    assert called == ["tap", "tap", "a script's own"]


@pytest.mark.parametrize("inner", [False, True], ids=["an addon", "a script's"])
async def test_an_update_of_a_flow_reaches_who_has_the_hook(inner: bool) -> None:
    updated: list[Any] = []
    one = SimpleNamespace(name="shows flows", update=updated.extend)
    master = made(SimpleNamespace(name="outer", addons=[one]) if inner else one)
    flow = tflow.tflow()
    await master.addons.handle_lifecycle(HttpRequestHook(flow))
    await called_at_once(master.addons, HttpRequestHook(flow))
    assert updated == [flow, flow]


async def test_a_line_of_the_log_reaches_an_old_script() -> None:
    lines: list[str] = []
    master = made(SimpleNamespace(name="old", add_log=lambda entry: lines.append(entry.msg)))
    master.addons.trigger(AddLogHook(LogEntry("a line", "info")))
    assert lines == ["a line"]


async def test_an_event_that_nobody_has_makes_no_update(monkeypatch: pytest.MonkeyPatch) -> None:
    triggered: list[str] = []
    master = made()

    async def note(event: hooks.Hook) -> None:
        triggered.append(event.name)

    monkeypatch.setattr(master.addons, "trigger_event", note)
    await master.addons.handle_lifecycle(HttpRequestHook(tflow.tflow()))
    assert triggered == ["request"]
