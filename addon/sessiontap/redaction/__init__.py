"""Redaction: credentials are taken out of everything that is kept, before it reaches the disk.

    redactor.py          what the recorder calls: a header, a URL, a text, a body, a command line, a JSON value
    by_name.py           credentials that stand apart under a name: headers, cookies, query parameters; and the search
                         for the call's own ones wherever else it leaves them
    command_line.py      the arguments of a command line, and commands in a text
    replacer.py          a token in the place of each credential; bodies are searched in windows
    shapes.py            known shapes, as tables
    shape_search.py      the search for them
    assigned.py          values that a name is given in a text: files, code, JSON
    names_and_values.py  tells by name and value whether a value is a credential
    fragments.py         credentials that a reply says in pieces: events of a stream, log probabilities
    aws_frames.py        AWS event streams, taken apart and put together again
    metadata.py          the fields of a record that `capture: metadata` keeps
    user_key.py          the user's key behind the digests

The one rule: what leaves here holds no credential that was found, and is otherwise byte for byte what came in. Imports
nothing of ours but the leaves `linear_regex` and `private`; docs/redaction.md says what is found and what is not.
"""

from sessiontap.redaction.redactor import RedactionError, Redactor

__all__ = ["RedactionError", "Redactor"]
