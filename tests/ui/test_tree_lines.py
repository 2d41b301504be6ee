from __future__ import annotations

from typing import Any

from sessiontap.ui.tree_lines import Line, tree_lines, with_calls


def node(path: str, started: str, *children: dict[str, Any]) -> dict[str, Any]:
    return {"path": path, "started": started, "children": list(children)}


def call(path: str | None, time: str) -> dict[str, Any]:
    return {"path": path, "time": time}


def told(lines: list[Line]) -> list[str]:
    """`  /a` for a path, `  2` for the call that began at 2."""
    return [
        "  " * one.depth + (one.node["path"] if one.node else one.call["time"] if one.call else "?") for one in lines
    ]


TREE = [node("/a", "1", node("/a/b", "2", node("/a/b/c", "3")), node("/a/d", "5")), node("/e", "6")]
CALLS = [call("/a", "1"), call("/a/b", "2"), call("/a/b/c", "3"), call("/a", "4"), call("/a/d", "5"), call("/e", "6")]


def test_calls_stand_under_their_paths_in_the_order_of_time() -> None:
    assert told(tree_lines(TREE, CALLS)) == [
        "/a", "  1", "  /a/b", "    2", "    /a/b/c", "      3", "  4", "  /a/d", "    5", "/e", "  6",
    ]  # fmt: skip


def test_a_call_of_no_path_of_the_tree_comes_last() -> None:
    assert told(tree_lines(TREE[1:], [call(None, "9"), call("/e", "6")])) == ["/e", "  6", "9"]


def test_some_calls_keep_the_paths_that_lead_to_them() -> None:
    assert told(with_calls(tree_lines(TREE, CALLS[2:5]))) == [
        "/a", "  /a/b", "    /a/b/c", "      3", "  4", "  /a/d", "    5",
    ]  # fmt: skip


def test_no_calls_keep_no_paths() -> None:
    assert with_calls(tree_lines(TREE, [])) == []
