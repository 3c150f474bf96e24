"""Any sender that signs a bearer token: a JSON Web Token of a shared secret, a key of its own or an issuer's."""

from __future__ import annotations

from service.providers.base import Guide, Info
from service.providers.plain_credentials import PlainCredential


class GenericJwt(PlainCredential):
    """https://www.rfc-editor.org/rfc/rfc7519

    Which token lets in is said by `auth: {jwt: …}`; `token_claims` judges it.
    """

    info = Info(
        name="jwt",
        title="A signed bearer token of your own",
        doc_url="https://www.rfc-editor.org/rfc/rfc7519",
        signs="a JWT in `Authorization: Bearer`: HS256 with `secrets`; RS256, PS256, ES256 or EdDSA with `public_keys` "
        "or the keys at `jwks_url`",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=("jwt",),
        needs_secret=False,
        guide=Guide(
            setup=(
                "Have the sender POST JSON to `https://relay.example.com/hooks/NAME` with `Authorization: Bearer` and "
                "a token (JWT) that expires within a day; a token of its own for each request is best.",
                "A shared secret (HS256): `secrets: [...]` with at least 32 bytes and `auth: {jwt: {audience: …}}`. "
                "`issuer` and `audience` are compared where they are given.",
                "A key pair or an identity provider: `auth: {jwt: {issuer: …, audience: …, jwks_url: https://…}}`, or "
                "`public_keys` (PEM or a JWKS) in place of `jwks_url`; `algorithms` where it is not RS256.",
                "An identity provider signs for many: say with `subject` or `claims: {azp: …}` who of them sends.",
            ),
            events="Whatever the sender likes: the last part of `type` (`asset.replaced`, `asset.deleted`, …) is the "
            "kind, anything else is `unknown` and left to rules.",
            covered="The token says who sends and until when, not what: a body under a token that was overheard is "
            "believed until the token expires. With `body_hash_claim: NAME` the token must carry the body's SHA-256 in "
            "that claim (hex or base64; Vonage calls it `payload_hash`), and then the body is covered too.",
            retries="The sender's own; any 2xx is an acknowledgement. Keys that cannot be fetched mean 503.",
            urls="In the payload: `url`, `urls`, `old_url` and the like, below `data` or at the top.",
        ),
    )
