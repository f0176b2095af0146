"""What services over HTTP share: their tokens, and listening (extra ``serve``)."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""What this machine is called by itself."""
