"""What a call asks and what came back: hosts, routes, wire families, known clients. Pure functions of bytes.

May import `sessiontap.exchange`, the standard library, msgspec, zstandard and brotli.

    hosts.provider_of(host, port)              the table of LLM hosts
    routes.endpoint_of(method, host, path, p)  the table of paths: family, operation, model in the URL
    read.read_request(request, endpoint)       -> Call
    read.read_reply(call, request, response)   -> Reply
    limits.request_id(headers)                 with rate_limits: what response headers say beside the body
    agents.agent_of(headers, body)             the table of known clients' own session ids
    history.history(call)                      -> History: the conversation so far, as digests
    history.ending(history, reply, status)     -> Ending: what the reply adds to it
    compare.compare(body, body)                -> Difference: from one request to the next, message by message
    turns.Turns(family)                        a WebSocket's frames -> turns, which read like streams of JSON lines
    decode.decode(body, encodings)             content-encodings, whole, cut, or chunk by chunk

A wire family is one module with the two functions of `family.Reader`: `asked(request, body)`, `reply(call, response)`.
To add one: write the module (openai_chat.py shows how; `pick` looks into JSON that may have any shape, `sniff`, `sse`,
`ndjson` and `eventstream` take bodies apart, `turn` finds the newest turn of a message list), name it in
`read.READERS`, give it its paths in `routes.ROUTES`, and add a table of small exchanges in tests/llm. It raises nothing
on purpose; what it cannot read it says in `problems`. `read` already sees to the JSON of the request, the model in the
URL, statuses >= 400, `Reply.stream`, and to faults of the module.
"""
