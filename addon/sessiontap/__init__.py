"""Sessiontap: an unmodified app's LLM calls, seen as named sessions."""

__version__ = "0.1.0"
