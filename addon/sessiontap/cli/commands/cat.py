"""`sessiontap cat`: one call in full."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.options import JsonOption, RulesOption, TraceOption, open_trace
from sessiontap.cli.output import note, write, write_bytes, write_json, write_safe

if TYPE_CHECKING:
    from sessiontap.trace import RecordedCall

EXAMPLES = (
    "sessiontap cat @1",
    "sessiontap cat 019a7c31-5e0b --request | jq .messages",
    "sessiontap cat @1 --text",
    "sessiontap cat @1 --curl",
)


def cat(
    ctx: typer.Context,
    call: Annotated[str, typer.Argument(metavar="CALL", help="Its id, a unique prefix of it, or @1, @2, ...")],
    request: Annotated[bool, typer.Option("--request", help="Write the request's stored body, byte for byte.")] = False,
    response: Annotated[
        bool, typer.Option("--response", help="Write the response's stored body, byte for byte.")
    ] = False,
    text: Annotated[bool, typer.Option("--text", help="Show the prompt and the reply as text.")] = False,
    headers: Annotated[bool, typer.Option("--headers", help="Show request line, status line and headers.")] = False,
    changes: Annotated[
        bool, typer.Option("--changes", help="Show what was changed on the way, and by which rule.")
    ] = False,
    curl: Annotated[
        bool, typer.Option("--curl", help="Write a curl command that sends the app's own request again.")
    ] = False,
    rules: RulesOption = None,
    json: JsonOption = False,
    trace: TraceOption = None,
) -> None:
    """Show one call in full, or one part of it."""
    from sessiontap.cli import call_text
    from sessiontap.cli.call_costs import Costs
    from sessiontap.trace import BodyError

    options = {"--request": request, "--response": response, "--text": text, "--headers": headers}
    options |= {"--changes": changes, "--curl": curl, "--json": json}
    chosen = [option for option, given in options.items() if given]
    if len(chosen) > 1:
        raise Misuse(f"{' and '.join(chosen)} do not go together", "ask for one of them")
    costs = Costs.by(rules)
    try:
        found = open_trace(ctx, trace).call(call)
        if request or response:
            write_bytes(_body(found, "request" if request else "response"))
        elif curl:
            _curl(found)
        elif json:
            write_json(call_text.as_json(found, costs.of(found.record)))
        elif text:
            write(call_text.dialogue(found))
        elif headers:
            write(call_text.headers(found))
        elif changes:
            call_text.show_changes(found)
        else:
            write(call_text.whole(found, costs.of(found.record)))
    except BodyError as error:
        raise Failure(f"call {call}: {error}", "sessiontap cat --headers and --changes show the rest") from None


def _body(call: RecordedCall, side: str) -> bytes:
    """The stored bytes; empty if there was no body. Raises Failure if there was one that was not kept."""
    message = call.record.get(side)
    if not message:
        raise Failure(f"call {call.id} has no {side}: {call.record.get('outcome')}")
    body = call.request_body() if side == "request" else call.response_body()
    if body is None and message.get("body"):
        raise Failure(f"the {side} body of call {call.id} was not recorded", "a rule says `capture: metadata`")
    return body or b""


def _curl(call: RecordedCall) -> None:
    from sessiontap.cli import curl
    from sessiontap.cli.recorded_facts import asked_request

    if "websocket" in (call.record.get("flags") or ()):
        said = f"call {call.id} was a turn of a WebSocket, which curl does not send"
        raise Failure(said, "--request writes the message that asked")
    request = asked_request(call)
    command = curl.command(request, call.id)
    if sys.stdout.isatty():
        write_safe(command, "write the command to a file to run it")
    else:
        write(command)
    if number := curl.redactions(request):
        note(f"{number} of its headers {'is' if number == 1 else 'are'} redacted: put your own key in")
