"""How an exchange breaks over a connection of our own, under httpx's names: one table judges both.

So httpx is loaded where there is a service to call, and a start without one is a tenth shorter.
"""

from __future__ import annotations


class TransportError(Exception):
    """What broke is the exchange; the request may be as it should."""


class UnsupportedProtocol(TransportError):  # noqa: N818 - httpx's name
    pass


class ConnectError(TransportError):
    pass


class ConnectTimeout(TransportError):  # noqa: N818 - httpx's name
    pass


class PoolTimeout(TransportError):  # noqa: N818 - httpx's name
    pass


class WriteError(TransportError):
    pass


class ReadError(TransportError):
    pass


class RemoteProtocolError(TransportError):
    pass


class InvalidURL(Exception):  # noqa: N818 - httpx's name
    pass
