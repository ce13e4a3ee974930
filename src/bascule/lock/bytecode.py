"""Whether a file of bytecode (PEP 3147, PEP 552) is what its source compiles to.

The interpreter runs bytecode in the place of the source when its header fits, whatever the
code in it does. So it is compared as code, never by its date.
"""

from __future__ import annotations

import importlib.util
import marshal
import re
from pathlib import Path
from types import CodeType

_HEADER_BYTES = 16
_NAME = re.compile(r"(?P<module>.+)\.(?P<tag>[a-z]+-\d+)(\.opt-(?P<level>[12]))?\.pyc")


def source_of(path: Path) -> Path | None:
    """Give the source that bytecode is of; None when its name does not say so."""
    match = _NAME.fullmatch(path.name)
    if match is None or path.parent.name != "__pycache__":
        return None
    return path.parent.parent / f"{match['module']}.py"


def is_for_another_interpreter(data: bytes) -> bool:
    """Tell whether this interpreter would never run it."""
    return data[:4] != importlib.util.MAGIC_NUMBER


def is_compiled_from(data: bytes, source: bytes, path: Path) -> bool:
    """Tell whether this interpreter makes the same code of a source.

    `path` is that of the bytecode: its name says how it was optimised.
    """
    match = _NAME.fullmatch(path.name)
    level = int(match["level"] or 0) if match is not None else 0
    try:
        found = marshal.loads(data[_HEADER_BYTES:])  # noqa: S302 - loaded, never run
        wanted = compile(source, path.name, "exec", dont_inherit=True, optimize=level)
    except (ValueError, EOFError, TypeError, SyntaxError):
        return False
    return isinstance(found, CodeType) and _same(found, wanted)


def _same(found: CodeType, wanted: CodeType) -> bool:
    """Compare all that is run; a code's own equality leaves out the order of small sets."""
    return found == wanted and found.co_exceptiontable == wanted.co_exceptiontable
