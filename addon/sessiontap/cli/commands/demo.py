"""`sessiontap demo`: the main job, on this machine alone."""

from __future__ import annotations

EXAMPLES = ("sessiontap demo",)


def demo() -> None:
    """Try it without keys or network: a small local LLM server, unmodified clients, their session trees."""
    from sessiontap.demo.run_demo import run_demo

    run_demo()
