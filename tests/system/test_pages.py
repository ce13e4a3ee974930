"""Pages beside the MCP endpoints, as they come through the whole server."""

from __future__ import annotations

from bascule.web.static import static_url
from system.server import Installation


def test_every_answer_beside_mcp_has_the_strict_headers(bascule: Installation) -> None:
    for path in ("/healthz", "/oauth/jwks", "/nothing", static_url("bascule.css")):
        answer = bascule.send(b"", {}, path=path, verb="GET")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_file_of_a_page_comes_whole_and_for_good(bascule: Installation) -> None:
    answer = bascule.send(b"", {}, path=static_url("bascule.css"), verb="GET")
    assert answer.status == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")
    head = bascule.send(b"", {}, path=static_url("bascule.css"), verb="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(answer.body))
