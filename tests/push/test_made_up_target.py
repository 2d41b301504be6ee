"""A target is a file and a line: the command, its help, the completion and the rules read the list."""

from __future__ import annotations

from pathlib import Path

from tests.push.logs import call, log_of
from tests.support.extended import run_extended

ACME = """
    from pathlib import Path

    from sessiontap.push.target import TargetAnswer, Item


    class Sender:
        max_bytes, max_items = 1 << 20, 100

        def __init__(self, settings):
            self.file = Path(settings.endpoint, "calls.txt")

        def call_items(self, call):
            return [Item(call.call.id, f"call {call.call.id} of {call.turn}", 10)]

        def turn_items(self, turn):
            return [Item(turn.id, f"turn {turn.id} of {len(turn.calls)}", 10)]

        def send(self, items):
            with self.file.open("a") as out:
                out.writelines(f"{one.data}\\n" for one in items)
            return TargetAnswer("accepted")


    def open_sender(settings):
        return Sender(settings)
"""
LINES = {
    "push/__init__.py": (
        (
            "_ALL: tuple[Target, ...] = (",
            '    Target("acme", "Acme\'s files", "sessiontap.push.targets.acme", is_folder=True),',
        ),
    )
}

CODE = """
    import contextlib
    import io
    import os
    from pathlib import Path

    from click.shell_completion import ShellComplete

    from sessiontap.cli.main import app, main
    from sessiontap.rules import RulesError, json_schema, load_text

    os.environ.update(HOME=os.getcwd(), SESSIONTAP_TRACE="log")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["push", "--help"]) == 0
        assert main(["push", "acme", "--endpoint", "."]) == 0
    assert "Acme's files" in out.getvalue()
    assert "1 call and 1 complete user turn sent to acme" in out.getvalue()
    assert Path("calls.txt").read_text().splitlines() == ["call c1 of c1", "turn c1 of 1"]

    shell = ShellComplete(app, {}, "sessiontap", "_SESSIONTAP_COMPLETE")
    assert [one.value for one in shell.get_completions(["push"], "ac")] == ["acme"]

    assert load_text("push: [{to: acme, endpoint: /tmp/x}]").pushes[0].target == "acme"
    assert "acme" in json_schema()["properties"]["push"]["items"]["properties"]["to"]["enum"]
    try:
        load_text("push: [{to: acmee}]")
    except RulesError as error:
        assert "did you mean 'acme'" in str(error), error
    else:
        raise AssertionError
"""


def test_a_target_of_ones_own_is_pushed_to_and_the_rules_offer_and_check_it(tmp_path: Path) -> None:
    log_of(tmp_path / "log", call("c1"))
    run_extended(tmp_path, CODE, {"push/targets/acme.py": ACME}, LINES)
