"""Redaction: credentials are taken out of everything that is kept, before it reaches the disk.

    redactor.py        what the recorder calls: a header, a URL, a text, a body, a command line, a JSON value
    credential_names.py  names of credentials, as data
    values.py            tells a credential under such a name from a placeholder
    by_name.py           credentials that stand apart under a name: headers, cookies, query parameters, variables
    assigned.py          values that a name is given in a text: files, code, JSON
    command_line.py      the arguments of a command line that are credentials
    client_options.py    options of well-known programs that take a password
    shapes.py            known shapes, as tables
    patterns.py          the search for them
    call_secrets.py      the credentials that one call's own headers and URL show
    streams.py           credentials that a stream spreads over several events
    logprobs.py          credentials that log probabilities spell out
    aws_frames.py        AWS event streams, taken apart and put together again
    replacer.py          a token in the place of each credential; bodies are searched in windows
    metadata.py          the fields of a record that `capture: metadata` keeps
    user_key.py          the user's key behind the digests
    errors.py            RedactionError

The one rule: what leaves here holds no credential that was found, and is otherwise byte for byte what came in. Imports
nothing of ours but the leaves `linear_regex` and `private`; docs/redaction.md says what is found and what is not.
"""

from sessiontap.redaction.errors import RedactionError
from sessiontap.redaction.redactor import Redactor

__all__ = ["RedactionError", "Redactor"]
