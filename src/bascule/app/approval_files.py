"""The files of approvals beside the configuration, to be reviewed and carried by git.

    approvals/NAME/000003.ENTRY.alice@example.com.dsse.json     statements
    approvals/_approvers/000002.SET.alice@example.com.dsse.json   changes of the signers
    approvals/documents/SHA256.json                  entries and surfaces they are about

No file is ever overwritten: each statement has its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bascule.errors import BasculeError
from bascule.lock.statement import MAX_STATEMENT_BYTES
from bascule.storage.whole_files import alone, replace

APPROVERS = "_approvers"
"""A folder that no connector's name can be."""
DOCUMENTS = "documents"
"""A folder below `approvals/_approvers`' sister; see `document_path`."""
MAX_FILE_BYTES = 2 * MAX_STATEMENT_BYTES
"""Of an envelope: Base64 and signatures."""
MAX_DOCUMENT_BYTES = 64 << 20
MAX_FILES = 10_000
"""Of one connector."""
FILE_MODE = 0o644
_SUFFIX = ".dsse.json"
