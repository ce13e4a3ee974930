"""What words mean to the rules: each word is a set of concepts, a bit for each.

A vocabulary by meaning, not a list of phrases: rules look at how concepts stand to each
other in a sentence (who is told to do what to which thing), so that no single word decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

_bits = count()


def _bit() -> int:
    return 1 << next(_bits)


# What is done.
CALL, READ, PUT, SEND, ALTER, TELL, ASK, IGNORE, DESTROY, GRANT, PREFER, CHECK = (
    _bit() for _ in range(12)
)
# How it is said: forms of verbs, obligation, negation, condition.
BASE, THIRD, PAST, ING = (_bit() for _ in range(4))
MODAL, NOT, BEFORE, WHEN, UNIVERSAL, OTHER, ADVERB, BE, TO, AND, ALSO = (
    _bit() for _ in range(11)
)
# Who and what.
USER, MODEL, THIS, TOOL, PARAM, DEAL, SECRET, TALK, RULES, REPLY, OUTSIDE = (
    _bit() for _ in range(11)
)
# How it is dressed up.
(
    SECRETLY,
    HIDDEN,
    AWARE,
    PRETEXT,
    THREAT,
    LASTING,
    AUTHORITY,
    EXAMPLE,
    GUARD,
    HELP,
    FORMAT,
) = (_bit() for _ in range(11))
# Literals.
MAIL, URL, PATH, SECRET_PATH, SHELL, IDENTIFIER, NUMBER, COMMA, COLON, QUOTE = (
    _bit() for _ in range(10)
)
# What a copy, a whole, the contents of something are; what nobody means well by.
WHOLE, SAFETY, SENSITIVE, MALICE = (_bit() for _ in range(4))
# What a text may slant, skip, remember, run and charge for.
OMIT, PROMOTE, CONSENT, AGREED, MEMORY, ACCOUNT, FEE, GOOD, BAD, RESULT, PROGRAM, FILES = (
    _bit() for _ in range(12)
)
INSTEAD, TRACES = (_bit() for _ in range(2))
RECIPIENT = _bit()

ACT = (
    CALL
    | READ
    | PUT
    | SEND
    | ALTER
    | TELL
    | ASK
    | IGNORE
    | DESTROY
    | GRANT
    | PREFER
    | CHECK
    | OMIT
    | PROMOTE
)

_VERBS = {
    CALL: "call choose install evaluate eval import source carry invoke use run execute"
    " trigger activate employ utilize utilise perform"
    " launch"
    " issue fire chain",
    READ: "read summarize summarise compile look open access retrieve fetch load cat"
    " extract collect gather dump list obtain"
    " harvest grab get enumerate inspect capture acquire scan query locate find search"
    " look download copy print scrape steal pull",
    PUT: "include pass put append prepend add attach insert embed set provide supply place"
    " fill write encode inject prefix suffix populate paste bundle concatenate store save"
    " stash persist record log assign specify tack carry smuggle stuff enclose"
    " incorporate hold"
    " bear contain book give move",
    SEND: "send forward post upload transmit email mail cc bcc share relay leak exfiltrate"
    " push submit deliver sync mirror broadcast publish copy transfer report route dispatch"
    " pipe stream ship hand duplicate invite wire remit loop blind-copy pay donate charge"
    " debit deposit withdraw tip",
    ALTER: "change replace modify alter redirect override substitute swap rewrite multiply"
    " reroute overwrite tamper divert increase inflate double triple prepend append adjust"
    " transform edit round halve reduce decrease inject"
    " shift force mutate patch lower raise cut",
    TELL: "tell mention inform notify reveal disclose show display say alert report explain"
    " expose acknowledge announce surface discuss describe communicate admit warn divulge"
    " share note reference let bring",
    ASK: "ask wait confirm prompt consult seek request",
    IGNORE: "ignore disregard forget bypass skip circumvent override suppress supersede"
    " discard abandon neglect drop disable overrule replace evade violate",
    DESTROY: "delete empty remove wipe erase drop destroy disable kill shut terminate"
    " deactivate"
    " uninstall purge truncate clear revoke stop overwrite cancel close",
    GRANT: "grant elevate escalate chmod sudo promote allow authorize authorise enable"
    " unlock"
    " assign install whitelist",
    PREFER: "prefer choose select favor favour prioritize prioritise pick rely default",
    OMIT: "omit leave exclude withhold conceal hide suppress keep skip drop downplay strip",
    PROMOTE: "recommend promote endorse praise advertise present describe rate"
    " portray depict rank",
    CHECK: "verify validate check authenticate confirm ensure attest initialize initialise"
    " refresh register prepare",
}
_IRREGULAR = {
    SEND: {"sent": PAST},
    TELL: {"told": PAST, "shown": PAST, "said": PAST, "knowing": ING, "brought": PAST},
    PUT: {"written": PAST, "wrote": PAST, "hidden": PAST},
    OMIT: {"left": PAST, "kept": PAST},
    IGNORE: {"forgotten": PAST, "overridden": PAST, "overrode": PAST},
    ALTER: {"overwritten": PAST, "rewritten": PAST, "overridden": PAST},
    PREFER: {"chosen": PAST},
    CALL: {"ran": PAST, "reinvoke": BASE, "re-run": BASE},
    READ: {"got": PAST, "found": PAST},
}
_FIXED = {"put", "set", "read", "cc", "bcc", "cat", "run", "let", "shut"}
"""Verbs whose base form may be read as the participle too."""

_WORDS: dict[int, str] = {
    MODAL: "must shall should need needs required requires require mandatory always ensure"
    " sure obligatory compulsory mandates mandate necessary necessitates imperative obliged"
    " ought necessitate requirement prerequisite precondition demands obligated essential"
    " instructed expected supposed remember has have requiring",
    NOT: "not never no don't dont cannot can't without avoid refrain nor neither mustn't"
    " shouldn't won't nobody nothing none unaware stop",
    BEFORE: "before prior first beforehand prerequisite precondition preceding precede"
    " precedes initially preliminary initialization initialisation",
    WHEN: "when whenever if once upon until unless during while after following anytime"
    " wherever time times where",
    UNIVERSAL: "any all every each everything anything entire whole both universal"
    " everywhere globally global",
    OTHER: "other others another subsequent future remaining further rest different later"
    " next upcoming ongoing",
    ADVERB: "also first then please always never just simply immediately automatically"
    " again"
    " additionally instead finally now explicitly kindly therefore thus actively directly"
    " carefully only try attempt be must strictly afterwards afterward next initially"
    " once either have"
    " you the will to not do always both further henceforth instantly promptly still",
    BE: "be is are been being was were get gets been",
    TO: "to",
    AND: "and then & plus or but",
    ALSO: "also additionally too simultaneously besides copy duplicate second extra cc bcc"
    " likewise",
    USER: "user users human humans customer customers operator operators person people"
    " requester requestor owner owners client clients caller anyone anybody someone them"
    " end-user everyone him her they",
    MODEL: "you assistant assistants model models llm llms ai agent agents claude gpt"
    " chatgpt"
    " copilot cursor gemini your yourself bot",
    THIS: "this it",
    TOOL: "tool tools function functions operation operations command commands call calls"
    " action actions method methods invocation invocations server servers mcp plugin"
    " plugins"
    " integration integrations",
    PARAM: "parameter parameters argument arguments param params arg args field fields"
    " value"
    " values recipient recipients path paths amount amounts body destination address"
    " addresses header headers payload subject attendee account filename url input inputs"
    " setting settings quantity price priority title content contents signature date"
    " branch metadata option options flag name username output location limit number"
    " target beneficiary payee property variable parametr permission permissions role",
    DEAL: "message messages mail mails email emails event events file files transaction"
    " transactions request requests response responses query queries script scripts"
    " payment payments order orders transfer transfers document documents commit commits"
    " invoice invoices booking bookings note notes page pages post posts record records"
    " prompt prompts purchase purchases meeting meetings ticket tickets issue issues"
    " comment comments reply replies upload uploads download downloads search searches"
    " data code report reports database table trade trades ride write writes read reads"
    " deletion deletions update updates build deployment deployments pull repository"
    " repositories project projects api endpoint endpoints task tasks interaction"
    " interactions workflow workflows execution functionality process processes activity"
    " activities procedure service services step steps trip expense expenses item items"
    " schedule refund"
    " statements statement"
    " refunds statement statements clause reminder reminders draft drafts backup backups"
    " ip",
    SECRET: "kubeconfig passcode otp passport credential credentials password passwords"
    " passphrase passphrases secret"
    " secrets"
    " token tokens apikey ssh passwd shadow cookie cookies keychain wallet mnemonic"
    " authorized_keys gitconfig api_key private_key api-key api-keys ssn pii"
    " access_token auth_token bearer environ printenv",
    TALK: "conversation conversations chat chats history transcript dialogue dialog"
    " context thread previous messages chain-of-thought reasoning system_prompt",
    RULES: "instruction instructions rule rules guideline guidelines constraint constraints"
    " prompt prompts policy policies restriction restrictions safeguard safeguards"
    " directive directives protocol protocols limitation limitations guardrail guardrails"
    " filters safety settings request preferences wishes intent input choice",
    REPLY: "response responses answer answers reply replies output outputs message summary"
    " completion",
    OUTSIDE: "external attacker third-party remote outside hacker evil malicious offshore"
    " collector exfil exfiltration c2 beacon monitoring surveillance telemetry",
    SECRETLY: "silently secretly covertly quietly discreetly discretely stealthily"
    " invisibly"
    " surreptitiously unobtrusively clandestinely transparently seamlessly unnoticed",
    HIDDEN: "hidden invisible secret confidential private undisclosed unseen internal"
    " concealed conceal hide unaware undetected unnoticed discreet",
    AWARE: "knowledge consent awareness notice aware know knows notified informed"
    " involvement"
    " knowing noticing told notices suspect learn",
    PRETEXT: "compliance audit auditing security verification validation authentication"
    " authorization telemetry diagnostics diagnostic monitoring quality integrity safety"
    " legal legacy regulatory debugging backup logging compatibility upgrade migration"
    " maintenance policy governance infrastructure privacy optimization performance"
    " environment stability accuracy consistency analytics traceability redundancy"
    " gdpr hipaa sox pci standards protocol handshake attestation licensing license"
    " checksum calibration initialization session",
    THREAT: "otherwise crash crashes lost loss corrupted corruption suspended penalty"
    " terminated"
    " locked",
    LASTING: "session remainder henceforth onwards onward persistent permanently"
    " persistently indefinitely forever standing throughout subsequent future"
    " ongoing",
    AUTHORITY: "system admin administrator root override mandate policy directive priority"
    " supersedes supersede precedence overrides privileged superuser developer global"
    " enforced authority root-level highest",
    EXAMPLE: "usage example examples e.g eg sample such demo default defaults placeholder"
    " i.e",
    GUARD: "detection forensic forensics escape escapes escaped explains cve"
    " vulnerability vulnerabilities exploit"
    " exploits advisory"
    " detect detects detecting block blocks prevent prevents preventing scan scans"
    " scanning sanitize sanitizes redact redacts redacting mask masks masking strip strips"
    " classify classifies protect protects protecting filter guard guards identify"
    " identifies attack attacks attempts phishing jailbreak jailbreaks avoids lint",
    HELP: "contact support help questions question feedback bugs bug docs documentation"
    " visit homepage issues assistance",
    FORMAT: "id ids json html markup raw uuid uuids markdown identifiers formatting"
    " technical"
    " widget guid",
    WHOLE: "content contents copy copies full complete value values entire verbatim"
    " everything"
    " all details data information",
    SAFETY: "safety safeguard security authentication logging permissions permission auth"
    " guardrails antivirus firewall auditing restrictions protections moderation 2fa mfa"
    " audit sandbox",
    CONSENT: "confirmation confirmations approval consent permission agreement dialog"
    " confirm prompt review authorization go-ahead sign-off",
    AGREED: "agreed consented approved authorised authorized accepted confirmed implied"
    " pre-approved preapproved pre-authorized granted assumed given waived",
    MEMORY: "memory memories long-term claude.md agents.md .cursorrules cursorrules"
    " rulebook"
    " alwaysallow",
    FEE: "fee fees charge charges surcharge tip commission donation percent % markup cents"
    " difference",
    GOOD: "best cheapest safest fastest strong secure harmless safe trusted top great"
    " excellent"
    " leading superior successful reliable recommended favourite preferred favorite clean",
    BAD: "forbidden outdated wrong unsafe insecure deprecated broken unreliable leak"
    " leaks inaccurate"
    " disabled untrusted risky obsolete compromised buggy unavailable vulnerable inferior"
    " unsupported dangerous retired defunct",
    RESULT: "result results output outputs returned returns response responses answer reply"
    " content text message",
    PROGRAM: "script scripts package packages binary binaries code command commands snippet"
    " hook module installer program executable",
    FILES: "documents folder folders photos contacts inbox desktop downloads contract"
    " contracts invoices files file mails emails calendar clipboard screenshots"
    " spreadsheet",
    RECIPIENT: "recipient recipients payee beneficiary destination addressee receiver"
    " remote"
    " reply-to iban wallet sender",
    INSTEAD: "instead rather",
    TRACES: "backups backup logs log history traces trace evidence records audit snapshots",
    SENSITIVE: "private personal sensitive confidential classified protected secret",
    MALICE: "exfiltrate exfiltrates exfiltrated exfiltrating exfiltration exfil attacker"
    " attackers attacker's steal steals stolen stealing hacker hackers backdoor keylogger"
    " intercepts"
    " c2 elevated",
}


def _inflected(verb: str) -> Iterator[tuple[str, int]]:
    yield verb, BASE | (PAST if verb in _FIXED else 0)
    if verb.endswith("y") and verb[-2] not in "aeiou":
        yield verb[:-1] + "ies", THIRD
        yield verb[:-1] + "ied", PAST
    elif verb.endswith(("s", "x", "z", "ch", "sh")):
        yield verb + "es", THIRD
    else:
        yield verb + "s", THIRD
    stem = verb.removesuffix("e")
    yield stem + "ed", PAST
    yield stem + "ing", ING
    yield stem + stem[-1] + "ed", PAST
    yield stem + stem[-1] + "ing", ING


def vocabulary() -> dict[str, int]:
    """Give the concepts of each word that has any, lower case."""
    found: dict[str, int] = {}
    for concept, verbs in _VERBS.items():
        for verb in verbs.split():
            for word, form in _inflected(verb):
                found[word] = found.get(word, 0) | concept | form
    for concept, forms in _IRREGULAR.items():
        for word, form in forms.items():
            found[word] = found.get(word, 0) | concept | form
    for concept, words in _WORDS.items():
        for word in words.split():
            found[word] = found.get(word, 0) | concept
    return found
