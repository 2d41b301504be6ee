"""Makes planning a call to the path `/break` raise what quotes its body, as a fault of ours might."""

from sessiontap.proxy.call_context import CallContext, Plan
from sessiontap.proxy.plan import Planner
from sessiontap.rules import Rules


def running() -> None:
    plan = Planner.plan

    def breaking(self: Planner, context: CallContext, rules: Rules) -> Plan:
        if context.request.path == "/break":
            raise ValueError(f"broken on purpose by {context.request.body!r}")
        return plan(self, context, rules)

    Planner.plan = breaking  # type: ignore[method-assign]
