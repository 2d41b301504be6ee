"""The commands, in modules of those that show the same thing: their options, and the lines that join the packages.

Everything but click and `cli` itself is imported inside the functions: a command pays only for what it uses.
"""
