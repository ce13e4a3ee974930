"""Pages that are one file, to be kept and sent: they load nothing and lead nowhere."""

from __future__ import annotations

import base64
import hashlib

from markupsafe import Markup

from bascule.web.render import environment


def render_one_file(name: str, page: object) -> str:
    """Make a page of `NAME.html`, `NAME.css` and `NAME.js` below `templates/`.

    Style and script stand in it; a policy in it lets nothing else run (CSP Level 3).
    """
    made = environment()
    style, script = (made.get_template(f"{name}.{it}").render() for it in ("css", "js"))
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        )
    )
    # Both are files of ours; no text of others gets into them.
    return made.get_template(f"{name}.html").render(
        page=page,
        policy=policy,
        style=Markup(f"<style>{style}</style>"),  # noqa: S704
        script=Markup(f"<script>{script}</script>"),  # noqa: S704
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
