"""The processes and connections: the only folder that knows uvicorn's and httptools' insides.

Each bound here is one that uvicorn does not give, and that the proxy (proxy/nginx.conf) gives only to those who run
it: `thud serve` alone must stay alive too, and keep answering the probes. Each file says so of its own.
"""

BACKLOG = 4096
"""Connections that may wait to be accepted, as far as the system allows so many: where one more comes, its client
tries again after a second, and then after two, four and eight."""
