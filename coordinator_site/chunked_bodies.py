"""Bodies whose length the client does not know beforehand, as `curl --upload-file -` sends them."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

from coordinator_site.url_prefixes import WsgiApplication


def read_chunked_bodies(application: WsgiApplication, max_bytes: int) -> WsgiApplication:
    """Give the application the length of such a body, of which at most one byte over `max_bytes` is read.

    Django reads as many bytes as Content-Length says: without it, none.
    """

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # Only a server that ends the input with the body says `input_terminated`.
        if environ.get("HTTP_TRANSFER_ENCODING") and environ.get("wsgi.input_terminated"):
            content = environ["wsgi.input"].read(max_bytes + 1)
            environ |= {"wsgi.input": BytesIO(content), "CONTENT_LENGTH": str(len(content))}
        return application(environ, start_response)

    return answer
