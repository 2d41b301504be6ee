"""One module per command: its options, its examples, and the few lines that join the packages it needs.

Everything but typer and `cli` itself is imported inside the functions: a command pays only for what it uses.
"""
