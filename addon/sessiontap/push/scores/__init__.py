"""Scores for the readers that calls are pushed to: one module a target, with a function `open_scores(settings)`."""
