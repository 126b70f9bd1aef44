"""The HTTP server: one connection class of our own under uvicorn's server, its bounds, its workers, its end.

It knows neither GraphQL nor any vendor: an ASGI application, and the endpoint that it may offer, answer the requests.
"""
