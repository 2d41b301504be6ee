"""Read what a call asks and what came back: hosts, routes, wire families, known agents. Pure functions of bytes.

May import `sessiontap.exchange`, the standard library, msgspec, zstandard and brotli.

    hosts.provider_of(host, port)              the table of LLM hosts; `is_llm_host`, and `serves` by path
    routes.endpoint_of(method, host, path, p)  the families' routes: family, operation, model in the URL
    hosts.recognised_family(...)               a call at a host that nobody named, by path and body
    content_encoding.decode(body, encodings)   content-encodings, whole, cut, or chunk by chunk
    read.read_request(request, endpoint)       -> Call
    read.read_reply(call, request, response)   -> Reply
    large_bodies.read_bounded(...)             the same of a reply that may be too large to be read in full
    response_facts.request_id(headers)         with rate_limits: the facts of a response that no family differs in
    agents.agent_of(headers, body)             the known agents and their own session ids
    history.history(call)                      -> History: the conversation so far, as digests
    history.fingerprint_of(history, reply, status)     -> ReplyFingerprint: what the reply adds to it
    compare.compare(body, body)                -> Difference: from one request to the next, message by message
    socket_turns.SocketTurns(family)           a WebSocket's frames -> turns, which read like streams of JSON lines

To add a wire family: write a module that ends in `FAMILY = Family(...)` (family.py says what belongs to it,
openai_embeddings.py is a short one), and name it in `families.MODULES`. `pick` looks into JSON that may have any
shape, `streaming` and `eventstream` take bodies apart, `newest_turn` finds the newest turn of a message list,
`messages` has the forms of messages, `message_pieces` the pieces that they are read as. `read` sees to the JSON of the
request, the model in the URL, statuses >= 400, `Reply.stream`, and to faults of the module.

To add a host of the table: a line in hosts.txt. To add an agent: a `KnownAgent` in known_agents.py, or in a module of
its own that `agents.MODULES` names.
"""
