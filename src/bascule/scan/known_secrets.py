"""How the secrets of known issuers look: they begin alike, so that leaks are found."""

from __future__ import annotations

import re

KNOWN = (
    ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    ("an age key", r"AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    ("a GitHub token", r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}"),
    ("a GitLab token", r"gl(?:pat|dt|rt|ptt|agent|oas|ft)-[A-Za-z0-9_.-]{16,}"),
    ("an Anthropic key", r"sk-ant-[A-Za-z0-9_-]{8,}"),
    ("a Stripe key", r"[rs]k_(?:live|test)_[A-Za-z0-9]{10,}"),
    ("a key of a model's provider", r"sk-(?=[A-Za-z_-]{0,40}[0-9])[A-Za-z0-9_-]{16,}"),
    (
        "a key of a model's provider",
        r"(?:gsk_|xai-|pplx-|nvapi-|r8_|hf_)(?=[A-Za-z_-]{0,40}[0-9])[A-Za-z0-9_-]{16,}",
    ),
    ("a Slack token", r"xox[abeoprs]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{10,}"),
    ("a Slack webhook", r"hooks\.slack\.com/services/[A-Za-z0-9/]{16,}"),
    ("an AWS key", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
    (
        "a Google key",
        r"AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{16,}|GOCSPX-[\w-]{16,}",
    ),
    ("an npm token", r"npm_[A-Za-z0-9]{30,}"),
    ("a PyPI token", r"pypi-AgEI[A-Za-z0-9_-]{16,}"),
    ("a Docker token", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}"),
    ("a SendGrid key", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("a DigitalOcean token", r"do[opr]_v1_[a-f0-9]{32,}"),
    ("a Shopify token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{24,}"),
    ("a Linear key", r"lin_(?:api|oauth)_[A-Za-z0-9]{16,}"),
    ("a Notion token", r"(?:ntn_|secret_)[A-Za-z0-9]{30,}"),
    ("a Figma token", r"fig[dou]_[A-Za-z0-9_-]{16,}"),
    ("a Sentry token", r"sntry[su]_[A-Za-z0-9_=-]{16,}"),
    ("a Supabase token", r"sbp_[a-f0-9]{24,}"),
    ("an Atlassian token", r"ATATT3[A-Za-z0-9_=-]{16,}|ATCTT3[A-Za-z0-9_=-]{16,}"),
    ("a Databricks token", r"dapi[a-f0-9]{32}"),
    ("a Vault token", r"hv[sbr]\.[A-Za-z0-9_-]{16,}"),
    ("a Tavily key", r"tvly-[A-Za-z0-9_-]{16,}"),
    ("an Apify token", r"apify_api_[A-Za-z0-9]{16,}"),
    ("a Telegram token", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}"),
    ("a Bascule token", r"bsc_(?:ad|rt|ac|ck)_[A-Za-z0-9_-]{16,}"),
    ("a signed token", r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.?[A-Za-z0-9_-]*"),
)
"""What it is, and its pattern; the first that fits is said."""
_ALONE = r"(?<![A-Za-z0-9])"
"""Not within a word: `task-…` is no key that begins with `sk-`."""
KNOWN_SECRET = re.compile(f"{_ALONE}(?:{'|'.join(pattern for _, pattern in KNOWN)})")


def known_secret(text: str) -> str | None:
    """Say what known secret a text holds, in words; None when it holds none."""
    if KNOWN_SECRET.search(text) is None:
        return None
    for kind, pattern in KNOWN:
        match = re.search(f"{_ALONE}(?:{pattern})", text)
        if match and not _is_template(match.group()):
            return kind
    return None


def _is_template(text: str) -> bool:
    """Tell whether a known prefix is followed by what stands for a secret."""
    body = re.sub(r"^[A-Za-z0-9]{2,6}[-_.]", "", text)
    return (
        len(set(body.lower())) <= 3
        or re.search(r"x{6,}|\*{3,}|your", body, re.IGNORECASE) is not None
    )
