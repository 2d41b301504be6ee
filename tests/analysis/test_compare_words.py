"""Word by word: the pieces of changed lines, and what is left undone."""

import pytest

from sessiontap.analysis.compare_words import BUDGET, LONGEST, MOST_WORDS, WordAligner

SHARED = "begin " * LONGEST


def told(diff, **bounds):
    """The lines with what changed in brackets."""
    aligner = WordAligner(**bounds)
    lines = [
        line.mark + "".join(f"[{text}]" if changed else text for text, changed in line.pieces)
        for line in aligner.lines(diff)
    ]
    return lines, aligner.not_aligned


@pytest.mark.parametrize(
    ("diff", "expected"),
    [
        (["-the old word", "+the new word"], ["-the [old] word", "+the [new] word"]),
        (["-a b c", "+a b c d"], ["-a b c", "+a b c[ d]"]),
        (["-f(x)", "+f(y)"], ["-f([x])", "+f([y])"]),
        (["-gone"], ["-gone"]),
        (["+come"], ["+come"]),
        (["-a b c", "-gone", "+a x c"], ["-a [b] c", "-gone", "+a [x] c"]),
        (["-nothing alike here", "+quite different"], ["-nothing alike here", "+quite different"]),
        (["@@ -1 +1 @@", " same", "-a b", "+a c", " same"], ["@@@ -1 +1 @@", " same", "-a [b]", "+a [c]", " same"]),
        (["-a 1", "+a 2", "-b 1", "+b 2"], ["-a [1]", "+a [2]", "-b [1]", "+b [2]"]),
        (["-ü é", "+ü è"], ["-ü [é]", "+ü [è]"]),
        (["-the older house", "+the oldest house"], ["-the [older] house", "+the [oldest] house"]),
        (["-Be unkind now", "+Be kind now"], ["-Be [unkind] now", "+Be [kind] now"]),
        (["-a kind", "+a kinder kind"], ["-a kind", "+a [kinder ]kind"]),
        ([], []),
    ],
    ids=[
        "a word", "words more", "code", "a line less", "a line more", "a line alone", "lines that share nothing",
        "around", "blocks side by side", "letters beyond ASCII", "a word with the same beginning",
        "a word with the same end", "a word that comes again", "nothing",
    ],
)  # fmt: skip
def test_the_words_that_changed(diff, expected):
    assert told(diff) == (expected, 0)


@pytest.mark.parametrize(
    "middle",
    ["x." * (MOST_WORDS - 1) + "x", "x" * (LONGEST + 1)],
    ids=["too many words", "too many characters"],
)
def test_long_lines_are_told_by_what_they_share(middle):
    lines, not_aligned = told([f"-{SHARED} {middle} end", f"+{SHARED} {middle.replace('x', 'y')} end"])

    assert lines[0] == f"-{SHARED} [{middle}] end"
    assert not_aligned == 1


def test_the_budget_is_for_all_lines_together():
    diff = [line for n in range(100) for line in (f"-a {n} b", f"+a {n + 1} b")]

    assert told(diff, budget=20)[1] == 80
    assert told(diff, budget=BUDGET)[1] == 0
