"""The labels of requests, in any framework. Each label has only a few values."""

METHODS = {
    method: method
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
}
OTHER_METHOD = "OTHER"
UNMATCHED = "unmatched"
SERVER_ERROR = 500
CLIENT_CLOSED_REQUEST = 499
"""Nobody got an answer, because the client had gone before there was one. nginx logs it by this code."""
