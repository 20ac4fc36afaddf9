"""The processes and connections: the only folder that knows uvicorn's and httptools' insides.

Each bound here is one that uvicorn does not give, and that the proxy (proxy/nginx.conf) gives only to those who run
it: `thud serve` alone must stay alive too, and keep answering the probes. Each file says so of its own.
"""
