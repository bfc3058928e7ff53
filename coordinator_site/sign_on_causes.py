"""Why a login at the provider has failed, in words for the person who tried it.

Nothing that the provider or a link to this site has written is repeated: only codes that are known here
count.
"""

from collections.abc import Mapping

UNKNOWN = "the provider's response was invalid"
AGAIN = "log in again"
CLOCKS = "compare the clocks of the provider and of this server"
# https://datatracker.ietf.org/doc/html/rfc6749#section-4.1.2.1 and 5.2,
# https://openid.net/specs/openid-connect-core-1_0.html#AuthError
BY_CODE: Mapping[str, str] = {
    "access_denied": "it was cancelled at the provider, or the provider does not let you in",
    "interaction_required": f"the provider wants to ask you something first: {AGAIN}",
    "login_required": f"you are not logged in at the provider: {AGAIN}",
    "consent_required": f"you have not agreed at the provider: {AGAIN}",
    "account_selection_required": f"choose an account at the provider: {AGAIN}",
    "temporarily_unavailable": "the provider says that it is overloaded: try again in a minute",
    "server_error": "the provider says that it has failed: try again in a minute",
    "invalid_client": "the provider does not accept OIDC_CLIENT_ID with OIDC_CLIENT_SECRET",
    "unauthorized_client": "the provider does not let the client OIDC_CLIENT_ID log people in",
    "invalid_scope": "the provider does not know all of OIDC_SCOPES",
    "invalid_grant": f"the provider's code was used before or is too old: {AGAIN}",
    "mismatching_state": f"it was begun in another browser or too long ago: {AGAIN}",
    "expired_token": f"the provider's identity token has expired: {CLOCKS}",
    "invalid_token": f"the provider's identity token is not valid yet: {CLOCKS}",
    "bad_signature": "the provider's identity token has a wrong signature",
    "missing_claim": "the provider's identity token lacks a claim",
}
BY_CLAIM: Mapping[str, str] = {
    "exp": BY_CODE["expired_token"],
    "nbf": BY_CODE["invalid_token"],
    "iat": BY_CODE["invalid_token"],
    "aud": "the provider's identity token is for another client than OIDC_CLIENT_ID",
    "azp": "the provider's identity token is for another client than OIDC_CLIENT_ID",
    "iss": "the provider's identity token is of another issuer than OIDC_ISSUER",
    "nonce": f"the provider's identity token belongs to another login: {AGAIN}",
}


def describe_cause(error: Exception) -> str:
    """A clause that goes on after 'Login failed: '."""
    if exchange := _describe_exchange(error):
        return exchange
    code = str(getattr(error, "error", ""))
    claim = str(getattr(error, "claim", ""))
    if code == "invalid_claim" and claim in BY_CLAIM:
        return BY_CLAIM[claim]
    return BY_CODE.get(code, UNKNOWN)


def _describe_exchange(error: Exception) -> str:
    """Of an error of HTTP; "" for one of another kind."""
    # An optional extra, as Authlib, which uses it.
    from requests import exceptions  # noqa: PLC0415

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"the provider answered {error.response.status_code}"
    # From the special to the general.
    by_kind = {
        exceptions.JSONDecodeError: "the provider's response is not JSON: is OIDC_ISSUER its address?",
        exceptions.Timeout: "the provider did not answer in time: try again in a minute",
        exceptions.SSLError: "the provider's certificate cannot be verified",
        exceptions.ConnectionError: "the provider cannot be reached: try again in a minute",
    }
    return next((words for kind, words in by_kind.items() if isinstance(error, kind)), "")
