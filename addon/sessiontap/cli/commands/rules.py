"""`sessiontap rules`: check, explain, schema; test is in rules_test.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sessiontap.cli.errors import Failure
from sessiontap.cli.named_path import NAMED_PATH
from sessiontap.cli.options import (
    CALL_HELP,
    command,
    completes,
    group,
    json_option,
    open_trace,
    rules_option,
    trace_option,
)
from sessiontap.cli.output import flush, line, print_notice, write, write_json
from sessiontap.cli.rules_test import TEST_EXAMPLES, test

if TYPE_CHECKING:
    from sessiontap.rules import Explanation, Rules, RulesProblem, RuleVerdict

CHECK_EXAMPLES = ("sessiontap rules check", "sessiontap rules check work.yaml --json")
EXPLAIN_EXAMPLES = ("sessiontap rules explain @1", "sessiontap rules explain 019a7c31-5e0b --rules new.yaml")
SCHEMA_EXAMPLE = "sessiontap rules schema > rules.schema.json"


@group(*CHECK_EXAMPLES, *EXPLAIN_EXAMPLES, *TEST_EXAMPLES, SCHEMA_EXAMPLE)
def rules() -> None:
    """Check rules, explain them, and test them on the log."""


@command(*CHECK_EXAMPLES)
@click.argument(
    "file",
    metavar="[FILE]",
    required=False,
    type=NAMED_PATH,
    help="The file to check [default: as --rules].",
)
@rules_option
@json_option
def check(file: Path | None, rules: Path | None, json: bool) -> None:
    """Validate a rules file, and warn of what is probably not meant."""
    from sessiontap.cli.rules_files import in_use, named, not_valid
    from sessiontap.rules import RulesError, lint, load_file

    path = named(file, rules)
    try:
        loaded = load_file(path)
    except RulesError as error:
        if not json:
            raise not_valid("rules", error) from None
        write_json(_report(path, None, error.problems, []))
        click.get_current_context().exit(2)
    warnings = lint(loaded)
    if json:
        write_json(_report(path, loaded, (), warnings))
        return
    write(f"{path}: {loaded.counted}, valid\n")
    flush()
    for warning in warnings:
        print_notice(line(f"warning: {warning}"))
    print_notice(in_use(path))


@command(*EXPLAIN_EXAMPLES)
@click.argument("call", metavar="CALL", help=CALL_HELP, shell_complete=completes("call"))
@rules_option
@json_option
@trace_option
def explain(call: str, rules: Path | None, json: bool, trace: Path | None) -> None:
    """Explain what the rules do to a recorded call, and why.

    The rules are taken as they are now: which match, which do not, and what each sets.
    """
    from sessiontap.cli import local_proxies
    from sessiontap.cli.explained_call import as_json, facts_of, header_lines, headers_of, session_of
    from sessiontap.cli.rules_files import in_use, load, rules_file
    from sessiontap.rules import default_rules, explain
    from sessiontap.trace import BodyError

    try:
        found = open_trace(trace).call(call)
        facts = facts_of(found)
    except BodyError as error:
        raise Failure(f"call {call}: {error}") from None
    proxy = next(local_proxies.usable(), None)
    path = rules_file(rules) or (proxy.rules if proxy is not None else None)
    loaded = load(path) if path else default_rules()
    session = session_of(found)
    explanation = explain(loaded, facts, session)
    headers = headers_of(explanation, loaded, facts, session, found.id) if session is not None else None
    variables = {name: local_proxies.has_variable(proxy, name) for name in explanation.proxy_variables}
    if json:
        row = dataclasses.asdict(explanation)
        row |= {"labels": row.pop("filled"), "proxy_env": variables, "assumed": _assumed(explanation, variables)}
        row["headers"] = as_json(headers)
        write_json({"call": found.id, "file": loaded.filename, **row})
        return
    write(f"call {found.id} by {loaded.filename}\n\n{_explained(explanation, variables, header_lines(headers or []))}")
    flush()
    recorded = list(found.record.get("rules") or ())
    now = list(dict.fromkeys((*explanation.decision.rules, *explanation.filled.rules)))
    if recorded != now:
        print_notice(f"when it was recorded, other rules set something: {line(', '.join(recorded) or 'none')}")
    print_notice(in_use(path))


@command(SCHEMA_EXAMPLE)
@json_option
def schema(json: bool) -> None:
    """Print the JSON Schema of rules.yaml, for editors.

    An editor completes and checks the file by it. With --json it is on one line.
    """
    from sessiontap.rules import json_schema

    if json:
        write_json(json_schema())
    else:
        write(dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")


for _command in (check, explain, test, schema):
    rules.add_command(_command)


def _report(path: Path, rules: Rules | None, problems: tuple[RulesProblem, ...], warnings: list[str]) -> dict[str, Any]:
    return {
        "file": str(path),
        "valid": rules is not None,
        "rules": rules.count if rules else None,
        "problems": [dataclasses.asdict(problem) for problem in problems],
        "warnings": warnings,
    }


def _explained(explanation: Explanation, variables: Mapping[str, bool | None], headers: list[str]) -> str:
    """Every rule with its checks and settings, then what all of them come to, and the lines about headers.

    `variables`: those of the proxy's environment that rules use, and if they are set there; None if nobody knows.
    """
    lines = [text for verdict in explanation.rules for text in _verdict(verdict)]
    lines += ["result", *_result(explanation, variables, headers)]
    return "".join(line(text) + "\n" for text in lines)


def _verdict(verdict: RuleVerdict) -> list[str]:
    ends = {"final": ", final", "ignore": ", ignore", None: ""}[verdict.ends]
    lines = [f"{verdict.outcome:<12}{verdict.rule} (line {verdict.line}{ends})"]
    for check in verdict.checks:
        actual = "unknown" if check.actual is None else ", ".join(check.actual) or "nothing"
        answer = "yes" if check.holds else "may" if check.unknown and verdict.outcome == "may match" else "no"
        lines.append(f"  {answer:<5}{check.key}: {check.expected}   was {actual}")
    for effect in verdict.effects:
        what = _effect(effect.field, effect.value) if effect.outcome == "set" else f"{effect.outcome}: {effect.reason}"
        lines.append(f"  {'=' if effect.outcome == 'set' else '-':<5}{effect.field} {what}")
    return [*lines, ""]


def _effect(field: str, value: Any) -> str:
    """The value of a setting, in the words of `_result`."""
    return f"{value:g} s" if field == "session.idle" else _value(value)


def _result(explanation: Explanation, variables: Mapping[str, bool | None], headers: list[str]) -> list[str]:
    decision, filled = explanation.decision, explanation.filled
    protected = decision.protected
    why = ""
    if protected:
        unknown = f" ({', '.join(protected.unknown)} not known)" if protected.unknown else ""
        why = f": {protected.rule or 'a rule'} may match{unknown}"
    if decision.ignore:
        return [f"  the call is left alone{why}"]
    values = {
        "session.name": decision.name,
        "session.id": [source.text for source in decision.id_sources],
        "session.path": filled.path,
        "session.idle": None if decision.idle is None else f"{decision.idle:g} s",
        "session.max_calls": decision.max_calls,
        "user": filled.user,
        **{f"properties.{key}": value for key, value in filled.properties.items()},
        "tags": filled.tags or None,
        "state": filled.state,
        **{f"headers.set.{key}": value for key, value in filled.headers_set.items()},
        "headers.remove": filled.headers_remove or None,
        "gateway": decision.gateway,
        "send": (decision.send or "none") if decision.wants_session else "none (no rule set a session)",
        "existing": decision.existing if "existing" in decision.set_by else None,
        "capture": decision.capture,
        **decision.more,
        **filled.more,
    }
    set_by = decision.set_by | filled.set_by
    lines = [
        f"  {name:<20} {_value(value)}" + (f"   by {set_by[name]}" if name in set_by else "")
        for name, value in values.items()
        if value is not None
    ]
    lines += _way(explanation)
    lines += [f"  {text}" for text in headers]
    lines += [f"  protected{why}"] if protected else []
    lines += [
        f"  proxy: {name} is {'set' if is_set else 'not set, so what uses it is left out'}"
        for name, is_set in variables.items()
        if is_set is not None
    ]
    lines += [f"  assumed: {text}" for text in _assumed(explanation, variables)]
    return lines + [f"  problem: {problem}" for problem in (*decision.problems, *filled.problems)]


def _way(explanation: Explanation) -> list[str]:
    """Return the way through the gateway that the rules set, a header a line."""
    way = explanation.way
    if way is None:
        return []
    if way.url is None:
        return [f"  {'way':<20} its own host: {way.direct}"]
    headers = [f"{name}: {value if value is not None else '(taken out)'}" for name, value in way.headers.items()]
    return [f"  {'way':<20} {way.url}", *(f"  {'':<20} {text}" for text in headers)]


def _assumed(explanation: Explanation, variables: Mapping[str, bool | None]) -> list[str]:
    """Return the assumptions behind the explanation: this command does not know the proxy's TLS options.

    Of its environment it knows which variables are set, if the proxy runs here.
    """
    unknown = [name for name, is_set in variables.items() if is_set is None]
    found = [f"{name} is set in the proxy's environment: no proxy runs here that could be asked" for name in unknown]
    if (gateway := explanation.decision.gateway) is not None:
        found.append(f"the proxy can use the gateway {gateway}: it has its key")
    return [*found, "the server's certificate is verified (no ssl_insecure)"] if found or variables else []


def _value(value: Any) -> str:
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "none"
    return value if isinstance(value, str) else dumps(value, ensure_ascii=False, default=str)
