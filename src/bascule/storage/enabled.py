"""Who may come in: nobody whom an administrator disabled or provisioning ended."""

from __future__ import annotations

from sqlalchemy import and_, not_

from bascule.storage import scim_ended
from bascule.storage.schema import users

ENABLED = and_(users.c.disabled_at.is_(None), not_(scim_ended.OF_USER))
"""Whether the user of a row of `users` may have sessions and tokens."""
