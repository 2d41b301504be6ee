"""Redaction: credentials are taken out of everything that is kept, before it reaches the disk.

    redactor.py       what the recorder calls: a header, a URL, a text, a body, a command line, a JSON value
    by_name.py        credentials that their name tells: headers, cookies, query parameters, variables, options
    command_line.py   which arguments of a command line are credentials
    patterns.py       known shapes, and values that a credential's name is given in a text
    call_secrets.py   the credentials that one call's own headers and URL show
    streams.py        credentials that a stream spreads over several events
    aws_frames.py     AWS event streams, taken apart and put together again
    replacer.py       what was found, replaced by a token; bodies are searched in windows
    user_key.py       the user's key behind the digests
    errors.py         RedactionError

The one rule: what leaves here holds no credential that was found, and is otherwise byte for byte what came in. Imports
nothing of ours but `linear_regex`; docs/trace-format.md says what is found and what is not.
"""

from sessiontap.redaction.errors import RedactionError
from sessiontap.redaction.redactor import Redactor

__all__ = ["RedactionError", "Redactor"]
