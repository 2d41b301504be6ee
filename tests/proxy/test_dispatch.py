"""The same hooks are called, in the same order and with the same faults, as by mitmproxy's own dispatch."""

from __future__ import annotations

import logging
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from mitmproxy import exceptions, hooks, options
from mitmproxy.http import HTTPFlow
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook, HttpResponseHook
from mitmproxy.test import tflow
from mitmproxy.tools.dump import DumpMaster

from sessiontap.proxy.dispatch import hasten


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


@pytest.mark.parametrize("hastened", [False, True], ids=["mitmproxy's own", "hastened"])
async def test_who_is_asked(hastened: bool, caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []
    addons = DumpMaster(options.Options(), with_termlog=False).addons
    addons.chain = chain(called)
    if hastened:
        hasten(addons)
    flow = tflow.tflow()
    await addons.trigger_event(HttpRequestHook(flow))
    await addons.trigger_event(HttpResponseHook(flow))
    await addons.trigger_event(hooks.UpdateHook([flow]))
    assert called == ["plain", "in a script", "outer", "inner", "failing", "waiting", "halting"]
    assert [record.getMessage() for record in caplog.records] == ["Addon error: failing"]


async def test_who_comes_later_is_asked_too() -> None:
    called: list[str] = []
    addons = DumpMaster(options.Options(), with_termlog=False).addons
    hasten(addons)
    addons.chain = [*addons.chain, addon(called, "new")]
    await addons.handle_lifecycle(HttpRequestHook(tflow.tflow()))
    assert called == ["new"]
