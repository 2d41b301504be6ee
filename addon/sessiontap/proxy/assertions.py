"""Modules of mitmproxy that need their assertions, in a Python without any (`own_python`): theirs read what they check.

Without them mitmproxy finds no hello in a client's first packets of QUIC.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

NEEDED = ("mitmproxy.proxy.layers.quic._client_hello_parser",)


def keep_needed_assertions() -> None:
    """Have these modules loaded with their assertions. They must not be loaded yet."""
    if not __debug__:
        sys.meta_path.insert(0, _Finder())


class _Finder:
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in NEEDED else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Compile the source anew: the byte code that Python keeps has no assertions."""
        return compile(self.get_data(self.path), self.path, "exec", dont_inherit=True, optimize=0)
