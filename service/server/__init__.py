"""The processes and connections: the only place that knows uvicorn's insides."""
