"""A conversation as one file: it loads nothing, runs nothing of what was said, and holds no more than was wished."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import pytest
from tests.analysis import coding_session
from tests.cli.recorded import call_id, calls, write
from tests.ui import hostile
from tests.ui.test_hostile import Elements

from sessiontap.cli.main import main
from sessiontap.cli.options import open_trace
from sessiontap.export import FORMATS
from sessiontap.export.exported_call import export_call
from sessiontap.export.leaving import redacted

PLAIN = [name for name in FORMATS if not name.startswith("parquet")]
"""Formats whose bytes can be looked through; Parquet's are compressed (`tests/parquet`)."""
DOCUMENTS = [name for name, one in FORMATS.items() if one.is_document]


@pytest.fixture(scope="module")
def coding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coding_session.write(tmp_path_factory.mktemp("coding") / "trace")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile.write(tmp_path_factory.mktemp("hostile") / "trace")


def written(folder: Path, name: str, *options: str) -> str:
    """The file that `export` writes."""
    out = folder.parent / f"out.{name}"
    assert main(["export", "--format", name, "--trace", str(folder), "-o", str(out), "--force", *options]) == 0
    return out.read_text()


def test_nothing_is_loaded_and_nothing_else_runs(bad: Path) -> None:
    page = Elements(written(bad, "html"))
    assert {tag for tag, _ in page.found}.isdisjoint({"img", "link", "iframe", "object", "embed", "base", "use"})
    names = {name for _, attributes in page.found for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in ("src", "srcdoc", "style", "action")]
    links = [attributes["href"] or "" for _, attributes in page.found if "href" in attributes]
    assert links
    assert all(one.startswith("#") for one in links)


def test_its_policy_names_its_own_style_and_script(bad: Path) -> None:
    text = written(bad, "html")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    for element in ("style", "script"):
        (found,) = re.findall(rf"<{element}[^>]*>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()
        assert f"{element}-src &#39;sha256-{digest}&#39;" in policy
    assert policy.startswith("default-src &#39;none&#39;")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_control_characters_are_spelled_out(bad: Path, name: str) -> None:
    text = written(bad, name)
    assert not {one for one in text if (ord(one) < 32 and one not in "\n\t") or one in "\x7f\x85\u202e\u2067\u2069"}
    assert "\\x1b[31mred" in text


def test_each_session_is_drawn_in_time(coding: Path) -> None:
    text = written(coding, "html")
    (lanes,) = re.findall(r'<section class="lanes" aria-label="Timeline">(.*?)</section>', text, re.DOTALL)
    names = re.findall(r"<bdi>(.*?)</bdi>", lanes)
    (strip,) = re.findall(r'<svg class="strip".*?</svg>', lanes, re.DOTALL)
    drawn = re.findall(r'<path class="c\d" d="([^"]+)"', strip)
    assert names
    assert len(drawn) == len(names)
    assert all(one.startswith("M") for one in drawn)


def test_links_lead_to_places_of_the_file(coding: Path) -> None:
    page = Elements(written(coding, "html"))
    places = {attributes["id"] for _, attributes in page.found if "id" in attributes}
    links = {str(attributes["href"])[1:] for _, attributes in page.found if "href" in attributes}
    assert links <= places
    assert f"{call_id(1)}-n0" in links


def test_markdown_keeps_what_was_said_within_fences(bad: Path) -> None:
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", written(bad, "markdown"), flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"(?<!\\)[<\[]", outside)
    assert "\\<script\\>" in outside


@pytest.mark.parametrize("name", PLAIN)
def test_further_redaction_reaches_every_text(coding: Path, name: str) -> None:
    out = coding.parent / f"redacted.{name}"
    asked = ["export", "--format", name, "--trace", str(coding), "-o", str(out), "--redact", "(?i)parse.week"]
    assert main([*asked, "--redact", "src/", "--force"]) == 0
    told = out.read_bytes()
    assert b"parse_week" not in told
    assert b"src/dates" not in told
    assert b"[redacted]" in told


@pytest.mark.parametrize("name", PLAIN)
def test_content_can_be_left_out(coding: Path, name: str) -> None:
    out = coding.parent / f"short.{name}"
    asked = ["export", "--format", name, "--trace", str(coding), "-o", str(out), "--no-content", "--force"]
    assert main(asked) == 0
    told = out.read_bytes()
    assert b"claude-sonnet-4-5" in told
    assert b"The test of parse_week" not in told
    assert b"fromisoformat" not in told


def test_a_command_line_is_content(tmp_path: Path) -> None:
    folder = write(tmp_path / "trace", calls())
    out = tmp_path / "calls.jsonl"
    assert main(["export", "--format", "jsonl", "--trace", str(folder), "-o", str(out), "--no-content"]) == 0
    told = out.read_text()
    assert "agent.mjs" in told
    assert "/srv/agent.mjs" not in told
    assert "context mode" not in told
    assert "Slow down" not in told


def test_a_stream_is_redacted_once_its_words_are_together(coding: Path) -> None:
    call = export_call(open_trace(coding).call(call_id(0)))
    changed = redacted(call, lambda text: text.replace("I run", "[gone]"))
    assert changed.redact is not None
    assert b"[gone] the tests first." in (changed.response_body.data or b"")
    json.loads(changed.response_body.data or b"")
    out = io.BytesIO()
    FORMATS["html"].load()([changed], out)
    assert b"[gone] the tests first." in out.getvalue()


def test_a_slice_of_a_session(coding: Path) -> None:
    page = Elements(written(coding, "html", "@1/2..@1/4"))
    turns = [attributes["id"] for tag, attributes in page.found if tag == "article"]
    assert turns == [call_id(2), call_id(3), call_id(4)]


def test_a_preview_lists_what_would_leave(coding: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["export", "--format", "html", "--trace", str(coding), "--preview", "@1/2..@1/4"]
    assert main(asked) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("3 calls of 1 session, 2025-11-21")
    assert "hosts: api.anthropic.com (3)" in told
    assert "tools: Bash (3), Read (3), Edit (3), WebFetch (3), mcp__docs__search (3), mcp__docs__fetch (3)" in told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--redact", "("], "--redact '('"),
        (["@1/2..@1/99"], "has no call 99"),
        (["@1/2.."], "the name of a call is empty"),
    ],
    ids=["an expression that is none", "a call that is not there", "half a slice"],
)
def test_a_wrong_wish_is_told(coding: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    assert main(["export", "--format", "html", "--trace", str(coding), *options]) in (1, 2)
    assert said in capsys.readouterr().err


def test_a_page_has_the_paths_with_their_sums(coding: Path) -> None:
    log = open_trace(coding)
    known = {node["path"]: node for node in log.query_overview("@1", errands=False)["tree"]}
    log.close()
    text = written(coding, "html")
    rows = re.findall(r'<tr><td class="depth-0"><bdi>([^<]*)</bdi></td><td class="number">(\d+)</td>', text)
    assert rows
    assert {path: int(calls) for path, calls in rows} == {path: node["calls"] for path, node in known.items()}
