"""Read what a call asks and what came back: hosts, routes, wire families, known agents. Pure functions of bytes.

May import `sessiontap.exchange`, the standard library, msgspec, zstandard and brotli.

    hosts.provider_of(host, port)              the table of LLM hosts
    routes.endpoint_of(method, host, path, p)  the families' routes: family, operation, model in the URL
    read.read_request(request, endpoint)       -> Call
    read.read_reply(call, request, response)   -> Reply
    limits.request_id(headers)                 with rate_limits: what response headers say beside the body
    agents.agent_of(headers, body)             the known agents and their own session ids
    history.history(call)                      -> History: the conversation so far, as digests
    history.fingerprint_of(history, reply, status)     -> ReplyFingerprint: what the reply adds to it
    compare.compare(body, body)                -> Difference: from one request to the next, message by message
    turns.Turns(family)                        a WebSocket's frames -> turns, which read like streams of JSON lines
    decode.decode(body, encodings)             content-encodings, whole, cut, or chunk by chunk

To add a wire family: write a module that ends in `FAMILY = Family(...)` (family.py says what belongs to it,
openai_embeddings.py is a short one), and name it in `families.MODULES`. `pick` looks into JSON that may have any
shape, `sniff`, `streamed` and `eventstream` take bodies apart, `turn` finds the newest turn of a message list.
`read` sees to the JSON of the request, the model in the URL, statuses >= 400, `Reply.stream`, and to faults of the
module.

To add an agent: a `KnownAgent` in known_agents.py, or in a module of its own that `agents.MODULES` names.
"""
