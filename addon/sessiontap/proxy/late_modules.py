"""Libraries that mitmproxy imports at its start and most proxies never use: they are loaded when they are first used.

They take a quarter of the start. Python's LazyLoader puts a module in a library's place that loads itself as soon as
anything of it is asked for. Of others mitmproxy takes names at once; while it is imported, names of ours stand in for
these. Nobody else's mitmproxy is touched by this: under `mitmdump -s addon/main.py` all is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

LATE = frozenset(
    {
        "http.cookiejar",  # stickycookie
        "ldap3",  # proxyauth=ldap
        "ruamel.yaml",  # mitmproxy's config.yaml
        "service_identity",  # certificates of servers that speak QUIC
    }
)
"""Modules that mitmproxy imports as a whole."""
_MITM_IT = "mitmproxy.addons.onboardingapp"
_SAFE_JOIN = "werkzeug.security"
_VIEWS = "mitmproxy.contentviews"


@contextmanager
def kept_for_later() -> Iterator[None]:
    """Import mitmproxy within this block without those libraries."""
    stand_ins: dict[str, dict[str, Any]] = {
        _MITM_IT: {"app": _MitmIt()},
        _SAFE_JOIN: {"safe_join": _safe_join},
        _VIEWS: {"registry": _Registry(), "prettify_message": _prettify_message},
    }
    names = [name for name in stand_ins if name not in sys.modules]
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    for name in names:
        module = sys.modules[name] = ModuleType(name)
        vars(module).update(stand_ins[name])
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in names:
            sys.modules.pop(name, None)


class _Finder:
    """Finds those of `LATE` as Python does, and has them loaded late."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


class _MitmIt:
    """The WSGI application of mitmproxy's pages at mitm.it, which needs Flask."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        """mitmproxy sets it."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        app = import_module(_MITM_IT).app
        app.config.update(self.config)
        return app(environ, start_response)


def _safe_join(directory: str, *parts: str) -> str | None:
    """As Werkzeug's, for mitmproxy's map_local."""
    joined: str | None = import_module(_SAFE_JOIN).safe_join(directory, *parts)
    return joined


def _prettify_message(*message: Any) -> Any:
    """As mitmproxy's, for flows on the terminal: `flow_detail`."""
    return import_module(_VIEWS).prettify_message(*message)


class _Registry:
    """mitmproxy's list of views of a body."""

    def available_views(self) -> Sequence[str]:
        return _Views()


class _Views(Sequence[str]):
    """Their names, as the choices of an option."""

    def __getitem__(self, at: Any) -> Any:
        return import_module(_VIEWS).registry.available_views()[at]

    def __len__(self) -> int:
        return len(import_module(_VIEWS).registry.available_views())
