"""The HTTP server: our connection class under uvicorn's server, its bounds, its workers and its shutdown.

It knows neither GraphQL nor any vendor. The ASGI application, and the endpoint that it may offer, answer the requests.
"""
