"""Which of mitmproxy's addons sleep, and what wakes them. The addons and options are mitmproxy's own."""

from __future__ import annotations

import pytest
from mitmproxy import options
from mitmproxy.tools.dump import DumpMaster

from sessiontap.proxy.chain import SLEEPERS, Chain

STAY = ("core", "block", "disableh2c", "proxyserver", "scriptloader", "nextlayer", "serverplayback", "tlsconfig")


@pytest.fixture
async def master() -> DumpMaster:
    return DumpMaster(options.Options(), with_termlog=False)


def names(master: DumpMaster) -> list[str]:
    return [getattr(addon, "name", type(addon).__name__.lower()) for addon in master.addons.chain]


async def test_every_sleeper_is_an_addon_of_mitmdump_and_its_options_exist(master: DumpMaster) -> None:
    assert set(SLEEPERS) <= set(names(master))
    assert {option for wanted in SLEEPERS.values() for option in wanted} <= set(master.options.keys())


async def test_what_has_nothing_to_do_sleeps_and_the_rest_keeps_its_order(master: DumpMaster) -> None:
    full = names(master)
    master.options.update(flow_detail=0)
    Chain(master.addons, master.options).shorten()
    assert names(master) == [name for name in full if name not in SLEEPERS]
    assert set(STAY) <= set(names(master))


@pytest.mark.parametrize(
    ("update", "name"),
    [
        pytest.param({"modify_headers": ["/~q/x/y"]}, "modifyheaders", id="modify_headers"),
        pytest.param({"anticache": True}, "anticache", id="anticache"),
        pytest.param({"flow_detail": 2}, "dumper", id="flow_detail"),
        pytest.param({"proxyauth": "any"}, "proxyauth", id="proxyauth"),
    ],
)
async def test_an_addon_whose_option_is_set_does_not_sleep(
    master: DumpMaster, update: dict[str, object], name: str
) -> None:
    master.options.update(**update)
    Chain(master.addons, master.options).shorten()
    assert name in names(master)


async def test_an_option_set_later_wakes_its_addon_in_its_place_and_tells_it(master: DumpMaster) -> None:
    full = names(master)
    chain = Chain(master.addons, master.options)
    chain.shorten()
    master.options.update(modify_headers=["/~q/x/y"])
    chain.wake({"modify_headers"})
    awake = names(master)
    assert awake == [name for name in full if name in awake]
    assert master.addons.get("modifyheaders").replacements


async def test_beside_a_user_interface_none_sleeps(master: DumpMaster) -> None:
    class View:
        name = "view"

    master.addons.add(View())
    full = names(master)
    Chain(master.addons, master.options).shorten()
    assert names(master) == full
