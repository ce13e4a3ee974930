"""What is wrong with a request, as SCIM says it (RFC 7644 §3.12)."""

from __future__ import annotations

from bascule.errors import BasculeError


class ScimError(BasculeError):
    """A request that is not done; the text says why, and what to do."""

    def __init__(self, status: int, text: str, kind: str = "") -> None:
        """`kind`: the `scimType` of the error; empty where the standard has none."""
        super().__init__(text)
        self.status = status
        self.kind = kind

    def document(self) -> dict[str, object]:
        """Give the body of the answer."""
        kind = {"scimType": self.kind} if self.kind else {}
        return {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": str(self.status),
            **kind,
            "detail": str(self),
        }


def bad_value(text: str) -> ScimError:
    """Make the error of a value that is none."""
    return ScimError(400, text, "invalidValue")


def bad_path(text: str) -> ScimError:
    """Make the error of a path that leads nowhere."""
    return ScimError(400, text, "invalidPath")


def taken(text: str) -> ScimError:
    """Make the error of a name that another resource has."""
    return ScimError(409, text, "uniqueness")


def nowhere() -> ScimError:
    """Make the error of a resource that is not there, or is another provider's."""
    return ScimError(404, "there is no such resource: look it up by a filter")
