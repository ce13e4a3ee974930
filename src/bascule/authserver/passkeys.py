"""Passkeys: what browsers are asked, and what they answer (WebAuthn Level 3).

The library reads and verifies; whatever it says of a stranger's bytes, other than that they
are right, means that they are not. It is imported with the first answer.

Credentials are discoverable and the authenticator must verify its user, so that one gesture
is both factors and nobody has to type a name.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass

from bascule.authserver.challenges import Challenge
from bascule.errors import BasculeError
from bascule.storage.passkeys import Passkey
from bascule.storage.ways_in import NewPasskey

ALGORITHMS = (-8, -7, -257)
"""EdDSA, ES256 and RS256 (COSE): what is verified below."""
TIMEOUT_MS = 300_000
MAX_CHARACTERS = 32 << 10
"""Of a browser's answer; one with an attestation is a few thousand."""


class PasskeyError(BasculeError):
    """The answer of a browser does not show that its user has the passkey."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The site, as authenticators know it."""

    id: str
    """Host name of the site."""
    origin: str

    @property
    def possible(self) -> bool:
        """Whether there can be passkeys: they belong to names, not to addresses."""
        try:
            ipaddress.ip_address(self.id)
        except ValueError:
            return bool(self.id)
        return False

    def creation_options(
        self,
        challenge: Challenge,
        *,
        name: str,
        user_handle: bytes,
        existing: tuple[bytes, ...],
    ) -> str:
        """Write what a browser needs to make a passkey, as JSON (WebAuthn §5.4).

        `existing` are credentials that the user has: no second one on one authenticator.
        """
        return _json(
            {
                "rp": {"id": self.id, "name": "Bascule"},
                "user": {"id": _base64(user_handle), "name": name, "displayName": name},
                "challenge": _base64(challenge.value),
                "pubKeyCredParams": [
                    {"type": "public-key", "alg": algorithm} for algorithm in ALGORITHMS
                ],
                "timeout": TIMEOUT_MS,
                "excludeCredentials": [
                    {"type": "public-key", "id": _base64(it)} for it in existing
                ],
                "authenticatorSelection": {
                    "residentKey": "required",
                    "requireResidentKey": True,
                    "userVerification": "required",
                },
                "attestation": "none",
            }
        )

    def request_options(self, challenge: Challenge) -> str:
        """Write what a browser needs to use a passkey, as JSON (WebAuthn §5.5)."""
        return _json(
            {
                "challenge": _base64(challenge.value),
                "rpId": self.id,
                "timeout": TIMEOUT_MS,
                "userVerification": "required",
            }
        )

    def verify_new(
        self, answer: str, challenge: Challenge, *, user_handle: bytes
    ) -> NewPasskey:
        """Read a passkey that was made. Raises `PasskeyError`."""
        from webauthn import verify_registration_response

        _refuse_embedded(answer)
        try:
            found = verify_registration_response(
                credential=answer,
                expected_challenge=challenge.value,
                expected_rp_id=self.id,
                expected_origin=self.origin,
                require_user_verification=True,
            )
        except Exception as exc:
            raise PasskeyError("the passkey could not be verified") from exc
        return NewPasskey(
            credential_id=found.credential_id,
            user_handle=user_handle,
            public_key=found.credential_public_key,
            sign_count=found.sign_count,
            challenge_hash=challenge.digest,
            challenge_expires_at=challenge.expires_at,
        )

    def verify_use(self, answer: str, challenge: Challenge, passkey: Passkey) -> int:
        """Check that a passkey was used; gives its new counter. Raises `PasskeyError`."""
        from webauthn import verify_authentication_response

        _refuse_embedded(answer)
        try:
            found = verify_authentication_response(
                credential=answer,
                expected_challenge=challenge.value,
                expected_rp_id=self.id,
                expected_origin=self.origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=True,
            )
        except Exception as exc:
            raise PasskeyError("the passkey could not be verified") from exc
        return found.new_sign_count


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def credential_of(answer: str) -> tuple[bytes, bytes | None]:
    """Give the credential that an answer is about, and the user handle that it names.

    Nothing of it is verified yet. Raises `PasskeyError`.
    """
    from webauthn.helpers import parse_authentication_credential_json

    if len(answer) > MAX_CHARACTERS:
        raise PasskeyError("the answer is too long")
    try:
        found = parse_authentication_credential_json(answer)
    except Exception as exc:
        raise PasskeyError("the answer cannot be read") from exc
    return found.raw_id, found.response.user_handle


def _refuse_embedded(answer: str) -> None:
    """Refuse what was made within a page of another site (WebAuthn §7.1, §7.2)."""
    from webauthn.helpers import base64url_to_bytes

    if len(answer) > MAX_CHARACTERS:
        raise PasskeyError("the answer is too long")
    try:
        sealed = json.loads(answer)["response"]["clientDataJSON"]
        embedded = json.loads(base64url_to_bytes(sealed)).get("crossOrigin", False)
    except Exception as exc:
        raise PasskeyError("the answer cannot be read") from exc
    if embedded:
        raise PasskeyError("the answer was made in a page of another site")
