"""JSON as a tree: bounded, and every place of it can be asked for."""

import pytest

from sessiontap.analysis.json_tree import member, tree

VALUE = {"a": [1, True, None, "text"], "b/c": {"~": "x" * 5_000}, "": 0}


def outline(node):
    return [(node.at, node.kind, node.text if node.size < 100 else len(node.text)), *(
        line for child in node.children for line in outline(child)
    )]  # fmt: skip


def test_a_tree_names_the_place_of_each_value():
    assert outline(tree(VALUE)) == [
        ("", "object", None), ("/a", "list", None), ("/a/0", "value", "1"), ("/a/1", "value", "true"),
        ("/a/2", "value", "null"), ("/a/3", "text", "text"), ("/b~1c", "object", None),
        ("/b~1c/~0", "text", 2_000), ("/", "value", "0"),
    ]  # fmt: skip


def test_every_place_can_be_asked_for():
    def places(node):
        yield node.at
        for child in node.children:
            yield from places(child)

    found = {at: member(VALUE, at) for at in places(tree(VALUE))}

    assert (found["/a/3"], found["/b~1c/~0"], found["/"], found[""]) == ("text", "x" * 5_000, 0, VALUE)


def test_what_is_too_much_is_counted():
    node = tree({"many": list(range(1_000)), "last": 1}, most=10)

    assert [(child.key, child.size, len(child.children), child.left) for child in node.children] == [
        ("many", 1_000, 8, 992), ("last", 1, 0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("at", ["/x", "/a/9", "/a/-1", "/a/0/0", "/a/٣", "/a/99999999999"])
def test_a_place_that_is_not_there(at):
    with pytest.raises(LookupError):
        member(VALUE, at)


def test_a_deep_value():
    value = None
    for _ in range(5_000):
        value = [value]

    assert tree(value, most=50).children[0].size == 1
