"""What the official suite runs as a client: it tells the tests, where the work is done.

`python gateway_client.py URL`, with the scenario in the environment as the suite sets it,
and in `OUTWARD` the address of what listens (`outward.py`). Exit 1, and why, when it came
to nothing.
"""

import json
import os
import sys
import urllib.request

order = {
    "url": sys.argv[1],
    "scenario": os.environ["MCP_CONFORMANCE_SCENARIO"],
    "revision": os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2025-11-25"),
    "context": json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}"),
}
body = json.dumps(order).encode()
with urllib.request.urlopen(os.environ["OUTWARD"], body) as answer:  # noqa: S310 - ours
    sys.exit(answer.read().decode() or 0)
