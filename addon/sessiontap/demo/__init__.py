"""The main job without keys or network: a local server in the providers' place, client programs, and a proxy.

    run_demo.py           starts all of it and shows the sessions
    provider_server.py    answers as OpenAI and Anthropic do (openai_wire.py, anthropic_wire.py, provider_replies.py)
    model.py              the deterministic model behind it
    certs.py              its certificates
    proxy_process.py      the proxy, started and stopped
    redirect.py           leads the proxy's connections to the server
    programs/             apps that do not know of Sessiontap

The demo does not import mitmproxy, and the proxy does not import the demo.
"""
