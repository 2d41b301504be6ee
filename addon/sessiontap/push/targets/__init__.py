"""The targets of `sessiontap push`: one module each, with a function `open_sender(settings)`."""
