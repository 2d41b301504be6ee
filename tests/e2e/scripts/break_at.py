"""Makes planning a call to the path `/break` raise what quotes its body, as a fault of ours might."""

from typing import Any

from sessiontap.proxy.plan import Planner


def running() -> None:
    plan = Planner.plan

    def breaking(self: Planner, *arguments: Any, **options: Any) -> Any:
        request = arguments[3]
        if request.path == "/break":
            raise ValueError(f"broken on purpose by {request.body!r}")
        return plan(self, *arguments, **options)

    Planner.plan = breaking  # type: ignore[method-assign]
