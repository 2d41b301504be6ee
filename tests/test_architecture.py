"""The packages: data flows one way, only proxy/ knows mitmproxy, and the proxy's own path stays small."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Collection
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "addon" / "sessiontap"

LEAVES = {
    "bounded_dict", "destination_line", "exchange", "faults", "header_edit", "large_blocks", "linear_regex", "loading",
    "own_python", "part", "plain_text", "private", "replay_link", "span_ids", "trust", "units", "value_classes",
}  # fmt: skip
"""Modules that every package may import, and that import none of ours."""
MAY_IMPORT = {
    # package: those that it may import, besides itself and the leaves
    "callers": set(),
    "llm": set(),
    "dialects": set(),
    "gateways": {"dialects"},
    "limits": set(),
    "rules": {"callers", "llm", "dialects", "gateways", "push", "limits"},
    "sessions": {"callers", "limits", "llm", "rules"},
    "stores": {"limits", "sessions"},
    "headers": {"dialects", "llm", "rules", "sessions"},
    "redaction": set(),
    "capture": set(),
    "trace": set(),
    "proxy": {
        "callers", "llm", "rules", "sessions", "headers", "gateways", "redaction", "trace", "export", "recording",
        "limits", "stores",
    },
    "recording": {"callers", "llm", "rules", "sessions", "headers", "gateways", "redaction", "trace", "prices"},
    "export": {"trace"},
    "parquet": {"trace", "export"},
    "push": {"trace", "export", "parquet", "analysis", "llm", "prices", "redaction", "dialects"},
    "prices": {"llm"},
    "replay": {"trace", "llm", "sessions", "analysis", "redaction"},
    "backtest": {
        "analysis", "callers", "dialects", "gateways", "headers", "llm", "proxy", "recording", "rules", "sessions",
        "trace",
    },
    "analysis": {"trace", "llm", "prices"},
    "ui": {"trace", "analysis", "llm", "prices", "rules", "export"},
    "demo": {"cli", "trace"},
    "testing": {"capture", "cli", "replay", "trace"},
    "cli": {
        "callers", "llm", "rules", "sessions", "headers", "trace", "export", "proxy", "prices", "analysis", "demo",
        "backtest",
        "capture",
        "limits",
        "push",
        "replay",
        "ui",
    },
}
KNOW_MITMPROXY = {"proxy"}
PROXY_PATH = {"mitmproxy", "yaml", "msgpack", "msgspec", "re2", "zstandard", "brotli"}
"""Third-party packages of the proxy's own path; zstandard and brotli come with mitmproxy."""
COMPILED = {"cmsgpack", "cython_runtime", "cython_3_1_4", "typing_extensions"}
"""What compiled packages of these bring along under names of their own."""
LAZY = {
    ("callers", "psutil"),
    ("prices", "genai_prices"),
    ("proxy", "cryptography"),  # mitmproxy's own, for the authority that it reads
    ("stores", "hiredis"),
    ("stores", "redis"),
}
"""Imported inside a function, where it is needed: on some platforms, by some readers."""


def imports(file: Path) -> list[tuple[str, bool]]:
    """(module, whether at the top level) of every import in `file`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    found: list[tuple[str, bool]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            if node.module == "sessiontap":
                found += [(f"sessiontap.{alias.name}", id(node) in top) for alias in node.names]
            else:
                found.append((node.module or "", id(node) in top))
    return found


def files(package: str) -> list[Path]:
    return sorted((PACKAGE / package).rglob("*.py"))


def test_every_package_is_in_the_table() -> None:
    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert packages == set(MAY_IMPORT)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_what_they_may(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package, *LEAVES, "__version__"}
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {module}"
        for file in files(package)
        for module, _ in imports(file)
        if module.startswith("sessiontap.") and module.split(".")[1] not in allowed
    ]
    assert not wrong


def modules_imported(file: Path, known: Collection[str]) -> set[str]:
    """The modules of ours that `file` imports anywhere: within functions, and for types alone, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            submodules = [f"{module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else module for name in submodules}
    return found & set(known)


def test_no_module_imports_itself_through_others() -> None:
    """A package is the names that its `__init__` defines; to import a module of it imports no other."""
    by_name = {
        ".".join(("sessiontap", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): file
        for file in PACKAGE.rglob("*.py")
    }
    graph = {name: modules_imported(file, by_name) - {name} for name, file in by_name.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.parametrize("leaf", sorted(LEAVES))
def test_a_leaf_imports_nothing_of_ours(leaf: str) -> None:
    assert not [module for module, _ in imports(PACKAGE / f"{leaf}.py") if module.startswith("sessiontap")]


@pytest.mark.parametrize("package", [package for package in MAY_IMPORT if package not in KNOW_MITMPROXY])
def test_only_the_proxy_package_knows_mitmproxy(package: str) -> None:
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {module}"
        for file in files(package)
        for module, _ in imports(file)
        if module.split(".")[0] == "mitmproxy"
    ]
    assert not wrong


@pytest.mark.parametrize(
    "package", sorted(MAY_IMPORT.keys() - {"cli", "demo", "parquet", "push", "replay", "testing", "ui"})
)
def test_the_proxys_path_imports_few_packages(package: str) -> None:
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {module}"
        for file in files(package)
        for module, _ in imports(file)
        if (name := module.split(".")[0]) != "sessiontap"
        and name not in sys.stdlib_module_names
        and name not in PROXY_PATH
        and (package, name) not in LAZY
    ]
    assert not wrong


def test_what_the_proxy_loads_is_what_the_table_says() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import mitmproxy.tools.main, mitmproxy.addons, mitmproxy.tools.dump;"
        "before = set(sys.modules);"
        "import sessiontap.proxy.tap;"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code, str(PACKAGE.parent)], capture_output=True, text=True, check=True)
    third_party = set(done.stdout.split()) - sys.stdlib_module_names - {"sessiontap"}
    assert {name.lstrip("_") for name in third_party} <= PROXY_PATH | COMPILED


def test_a_backtest_loads_no_mitmproxy() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import sessiontap.backtest.report, sessiontap.backtest.expectations;"
        "print(*{m.split('.')[0] for m in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code, str(PACKAGE.parent)], capture_output=True, text=True, check=True)
    assert "mitmproxy" not in done.stdout.split()


def test_a_users_type_checker_sees_our_types() -> None:
    assert (PACKAGE / "py.typed").exists()


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    """`The headers ...`, `Return ...`; not `What ...`."""
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and str(node.value.value).lstrip().startswith(("What ", "Whether "))
    ]
    assert found == []


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
