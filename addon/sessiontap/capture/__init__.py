"""Bring programs to the proxy that ignore its variables (HTTPS_PROXY and the like).

`cli/` calls it for the program that `sessiontap exec` or `replay` starts; docs/capture.md says which programs need it.
Their connections are opened to the proxy and begin with a line that names their destination (`destination_line.py`),
which `proxy/redirected.py` reads. The rule here: if anything fails, the program runs as it would without us. In a
replay it is the other way round: what cannot be redirected is refused (`confinement.py`).
"""
