"""Rules about acts on the host and on what protects it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage

PAYLOAD = "text-runs-commands"
SAFETY = "text-weakens-safety"
MALICE = "text-speaks-of-attacks"

_COMMAND = re.compile(
    r"\bcurl\s+-|\b(?:curl|wget)\b[^\n]{0,120}\|\s{0,3}(?:ba|z)?sh\b|\|\s{0,3}curl\b"
    r"|\brm\s+-r?f"
    r"|\bchmod\s+(?:777|\+s|u\+s)|/dev/tcp/|\bssh-(?:ed25519|rsa)\s+aaaa|\bpython3? -c\b"
    r"|\bnohup\b|\bchmod \+x|--trusted-host|--unsafe-perm|\bnc\s+(?:-e|\S{1,60}\s+\d)"
    r"|\bpermissions?\b[^.\n]{0,40}\b777\b|\bbase64\s+-d|\|\s{0,3}base64\b"
    r"|>>?\s{0,3}~?/?\S{0,40}(?:bashrc|authorized_keys|crontab|profile)|\$\(cat\b"
    r"|\$\((?:printenv|env|whoami|hostname|id)\b|https?_proxy\s?=|subprocess\.|os\.system"
    r"|\beval\("
    r"|\b(?:powershell|iex)\b[^\n]{0,20}-(?:enc|nop|w)|\bsudo\s+\S|\bgit\s+push\s+(?:-f"
    r"|--force)"
    r"|\bdrop\s+table\b|\bdd\s+if=|[;&|]\s{0,3}(?:ba|z)?sh\s+\S|\bcat\s+(?:~|/etc|/home"
    r"|/root|\.env|\$HOME)"
)
_PROGRAMS = (
    *(
        "curl",
        "wget",
        "rm -",
        "chmod",
        "/dev/",
        "nc ",
        "base64",
        ">",
        "proxy",
        "subprocess",
    ),
    *(
        "os.system",
        "eval(",
        "powershell",
        "iex",
        "sudo ",
        "git push",
        "drop table",
        "dd if",
    ),
    *(
        "sh ",
        "| sh",
        "bash",
        "cat ",
        "$(",
        "python",
        "nohup",
        "--trusted",
        "--unsafe",
        "777",
    ),
    "ssh-",
)
"""Of which a command has at least one: looked for first, because most texts have none."""
_GRAVE = re.compile(
    r"\|\s{0,3}(?:ba|z)?sh\b|/dev/tcp/|\brm\s+-r?f\s+[/~*]|authorized_keys|\bnc\s+-e"
    r"|\|\s{0,3}curl\b|\bssh-\w+\s+aaaa"
)
_INSTALLS = re.compile(
    r"\b(?:pip3?|npm|pnpm|yarn|uv|apt(?:-get)?|brew|gem|cargo) (?:install|i|add)\b"
    r"|\bnpx -y\b"
)
_FETCHED = re.compile(
    r"\b(?:returned|returns|downloaded|remote|received|response|output|hook|pip|npm|npx"
    r"|uvx|from (?:the )?(?:url"
    r"|server|link)|in a (?:terminal|shell)|payload)\b"
)
_BLIND = re.compile(
    r"\bwithout (?:\w+ ){0,2}(?:review(?:ing)?|check(?:ing)?|inspect\w*|read\w*|verif\w+"
    r"|asking)|\bwhatever|\bany\b|\bevery\b"
    r"|\bbefore\b|\bonce\b|\beach\b|\bfirst\b"
)
_BIDES = re.compile(
    r"\b(?:after|once|post-?|following"
    r"|only)\b[^.;]{0,50}\bapprov\w+\b[^.;]{0,90}\b(?:begin|start|activat|swap|switch"
    r"|execut|recorded)"
    r"|\b(?:swap|activat|switch|begin|start)\w*\b[^.;]{0,50}\b(?:post-?approval"
    r"|after (?:the )?(?:approval|review))"
    r"|\bduring review\b[^.;]{0,60}\bactivat"
)
_PUBLIC = re.compile(
    r"\b(?:public(?:ly)?|world[- ]readable|accessible|visible|readable|writable"
    r"|open) (?:\w+ ){0,2}(?:to|for|by)"
    r" (?:everyone|anyone|all|the (?:public|world|internet))|\bwithout (?:a )?(?:password"
    r"|authentication)"
)


def acting(passage: Passage, text: str) -> Iterator[Hit]:
    """Find commands, protection that is to be taken down, and talk of attacks."""
    sentence = passage.sentence
    yield from _commands(passage, text)
    yield from _protection(passage, text)
    if sentence.has & c.MALICE and not (sentence.has | passage.subject.topic) & c.GUARD:
        at = sentence.place(c.MALICE)
        if at is not None and sentence.within(c.NOT, at - 5, at) is None:
            grave = sentence.has & (c.SECRET | c.SECRET_PATH | c.TALK)
            yield passage.hit(MALICE, 3 if grave else 2, at)
    if ("approv" in text or "review" in text) and _BIDES.search(text):
        yield passage.hit(MALICE, 3)


def _commands(passage: Passage, text: str) -> Iterator[Hit]:
    sentence = passage.sentence
    if any(it in text for it in _PROGRAMS) and _COMMAND.search(text):
        told = passage.is_directive or sentence.has & (c.MODAL | c.UNIVERSAL)
        grave = _GRAVE.search(text) is not None
        weak = sentence.has & (c.EXAMPLE | c.GUARD) or not (told or grave)
        yield passage.hit(PAYLOAD, 1 if weak else 3)
        return
    installs = ("install" in text or "npx" in text or " i " in text) and _INSTALLS.search(
        text
    )
    if installs and (passage.is_directive or sentence.has & c.COLON):
        weak = sentence.has & c.EXAMPLE or not _BLIND.search(text)
        yield passage.hit(PAYLOAD, 1 if weak else 3)
    act = passage.told(c.CALL)
    if act is None or not sentence.has & c.PROGRAM or sentence.has & c.EXAMPLE:
        return
    what = sentence.within(c.PROGRAM, act.at + 1, act.at + 6)
    fetched = sentence.has & c.URL or _FETCHED.search(text)
    if what is not None and fetched:
        yield passage.hit(PAYLOAD, 3 if _BLIND.search(text) else 2, act.at, what)


def _protection(passage: Passage, text: str) -> Iterator[Hit]:
    sentence = passage.sentence
    topic = passage.subject.topic
    for act in passage.acts:
        if not act.told or act.denied or act.marks & c.ING:
            continue
        what = None
        weight = 2
        if act.marks & (c.DESTROY | c.IGNORE):
            what = sentence.within(c.SAFETY, act.at + 1, act.at + 5)
            weight = 2 if topic & c.SAFETY else 3
            if (
                what is None
                and act.marks & c.DESTROY
                and not topic & (c.DESTROY | c.TRACES)
            ):
                what = sentence.within(c.TRACES, act.at + 1, act.at + 5)
        elif act.marks & c.GRANT and act.marks & c.BASE:
            what = sentence.within(c.AUTHORITY | c.SAFETY, act.at + 1, act.at + 4)
            if what is not None and sentence.within(c.WHOLE | c.UNIVERSAL, act.at, what):
                weight = 3
        if what is not None:
            yield passage.hit(SAFETY, weight, act.at, what)
            return
    if _PUBLIC.search(text) and (passage.is_directive or "make" in sentence.words):
        yield passage.hit(SAFETY, 3)
