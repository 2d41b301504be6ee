"""Libraries that mitmproxy imports at its start and most proxies never use: they are loaded when they are first used.

They take a third of the start. Python's LazyLoader puts a module in a library's place that loads itself as soon as
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
        "pyparsing",  # filters of flows, and commands that are typed
        "ruamel.yaml",  # mitmproxy's config.yaml
        "service_identity",  # certificates of servers that speak QUIC
    }
)
"""Modules that mitmproxy imports as a whole."""
_MITM_IT = "mitmproxy.addons.onboardingapp"
_SAFE_JOIN = "werkzeug.security"
_VIEWS = "mitmproxy.contentviews"
_FILTERS = "mitmproxy.flowfilter"
_COMMANDS = "mitmproxy.command_lexer"


@contextmanager
def kept_for_later() -> Iterator[None]:
    """Import mitmproxy within this block without those libraries."""
    stand_ins: dict[str, dict[str, Any]] = {
        _MITM_IT: {"app": _MitmIt()},
        _SAFE_JOIN: {"safe_join": _Late(_SAFE_JOIN, "safe_join")},
        _VIEWS: {"registry": _Registry(), "prettify_message": _Late(_VIEWS, "prettify_message")},
        _FILTERS: {"TFilter": Any} | {name: _Late(_FILTERS, name) for name in ("parse", "match", "match_all")},
        _COMMANDS: {name: _Late(_COMMANDS, name) for name in ("expr", "quote", "unquote")},
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


class _Late:
    """A function or object of a module that is loaded when it is first used."""

    def __init__(self, module: str, name: str) -> None:
        self._at = module, name

    def _load(self) -> Any:
        module, name = self._at
        return getattr(import_module(module), name)

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._load()(*given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load(), name)


class _MitmIt:
    """The WSGI application of mitmproxy's pages at mitm.it, which needs Flask."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        """mitmproxy sets it."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        app = import_module(_MITM_IT).app
        app.config.update(self.config)
        return app(environ, start_response)


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
