"""Where a server is. WARP and HTTP of a Shoal server stand on the same port, so that one address serves both."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

DEFAULT = "http://127.0.0.1:9001"

_SECURE = {"https", "wss", "warps", "swims"}
_PLAIN = {"http", "ws", "warp", "swim"}
# What may stand in a URI as it is, and what is already encoded (RFC 3986, 2.2 and 2.3; brackets only around hosts).
_URI = "%/:?#@!$&'()*+,;=-._~"


@dataclass(frozen=True, slots=True)
class Address:
    """``prefix`` is the path before every node, without a slash at its end; ``query`` goes along with each connection,
    as a token does (``?token=…``)."""

    host: str
    port: int
    secure: bool = False
    prefix: str = ""
    query: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """``ValueError`` with a sentence where it is none. Without a scheme it is http's; the ports are 80 and 443."""
        url = urlsplit(text if "://" in text else "http://" + text)
        if url.scheme not in _SECURE | _PLAIN:
            raise ValueError(f"{text}: a server is at http://, https://, ws://, wss://, warp:// or warps://")
        secure = url.scheme in _SECURE
        try:
            port = url.port
        except ValueError:
            raise ValueError(f"{text}: a port is a number up to 65535") from None
        if not url.hostname:
            raise ValueError(f"{text}: the host is missing, as in {DEFAULT}")
        if url.username is not None:
            raise ValueError(f"{url.scheme}://{url.hostname}: names and passwords in an address are not supported")
        return cls(url.hostname, port or (443 if secure else 80), secure, _encoded(url.path).rstrip("/"), url.query)

    @property
    def place(self) -> str:
        """``127.0.0.1:9001``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def socket(self) -> str:
        """Of the WebSocket."""
        query = f"?{self.query}" if self.query else ""
        return f"{'wss' if self.secure else 'ws'}://{self.place}{self.prefix or '/'}{query}"

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.place}{self.prefix}"


def split_node(text: str) -> tuple[str | None, str]:
    """A node as a person writes it: the address that it names, if any, and the node's URI.

    ``warp://host:9001/bus/7`` names a server; ``bus/7`` is ``/bus/7``; ``swim:meta:host`` stays. What a URI must encode
    is encoded.
    """
    if "://" in text:
        scheme, _, rest = text.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host}", _encoded(slash + path) or "/"
    first = text.split("/", 1)[0]
    if text.startswith("/") or (":" in first and first.partition(":")[0].isidentifier()):
        return None, _encoded(text)
    return None, "/" + _encoded(text)


def _encoded(text: str) -> str:
    return quote(text, safe=_URI)
