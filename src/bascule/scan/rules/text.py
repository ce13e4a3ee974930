"""Rules about what definitions say.

The severity of a finding follows from all that is found in a definition together: high in
the block tier, medium in the flag tier.
"""

from __future__ import annotations

from bascule.scan.rule import Rule

_REVIEW = (
    "Do not approve this definition; remove the server, and report it to its maker. If the"
    " text is meant well, have it reworded, or accept it in a baseline with the reason."
)


def _rule(
    name: str, title: str, why: str, *, owasp: str = "MCP03", **more: tuple[str, ...]
) -> Rule:
    return Rule(
        id=name,
        severity="medium",
        promise="approved",
        title=title,
        why=why,
        fix=_REVIEW,
        owasp=(owasp,) if owasp == "MCP03" else ("MCP03", owasp),
        agentic=("ASI01",),
        safe_mcp=more.get("safe_mcp", ("SAFE-T1001",)),
        cosai=("MCP-T4",),
        cwe=(1427,),
    )


RULES: tuple[Rule, ...] = (
    _rule(
        "text-hides-from-user",
        "A definition tells the model to keep something from the user",
        "What the user is not told of, the user cannot stop.",
    ),
    _rule(
        "text-overrides-instructions",
        "A definition claims to count more than the user or earlier instructions",
        "A model that believes it follows the server's author instead of its user.",
        owasp="MCP06",
    ),
    _rule(
        "text-claims-authority",
        "A definition passes itself off as a message of the system",
        "Markup and titles of authority make a model take data for orders.",
        owasp="MCP06",
    ),
    _rule(
        "text-lasting-rule",
        "A definition sets a rule for the whole session",
        "Every later request of the user is handled under the server's rule, other servers'"
        " tools included.",
        owasp="MCP06",
    ),
    _rule(
        "text-governs-other-tools",
        "A definition rules when other tools are called",
        "One server steers what the tools of others are used for.",
        safe_mcp=("SAFE-T1008",),
    ),
    _rule(
        "text-changes-arguments",
        "A definition changes what is passed to calls or messages",
        "Recipients, amounts, paths and commands become others than the user asked for.",
        safe_mcp=("SAFE-T1008",),
    ),
    _rule(
        "text-takes-secrets",
        "A definition asks for secrets or files that its function does not need",
        "Keys and credentials of whoever runs the agent reach the server.",
        owasp="MCP01",
        safe_mcp=("SAFE-T1502",),
    ),
    _rule(
        "text-takes-conversation",
        "A definition asks for the conversation",
        "What users tell their agent, other tools' results included, reaches the server.",
        owasp="MCP10",
        safe_mcp=("SAFE-T1911",),
    ),
    _rule(
        "text-sends-away",
        "A definition has something sent to a place that it names",
        "Data leave for an address that nobody chose.",
        owasp="MCP10",
        safe_mcp=("SAFE-T1911",),
    ),
    _rule(
        "text-runs-commands",
        "A definition brings commands that act on the host",
        "A model with a shell runs them with the rights of whoever runs the agent.",
        owasp="MCP05",
    ),
    _rule(
        "text-weakens-safety",
        "A definition tells the model to widen rights or to switch protection off",
        "What protected the user is gone after the call.",
        owasp="MCP02",
    ),
    _rule(
        "text-speaks-of-attacks",
        "A definition speaks of attackers and of stealing as of its own business",
        "Texts of tools that do no security work do not.",
    ),
    _rule(
        "text-steers-answers",
        "A definition puts words into the model's answers",
        "Users read what the server's author wrote as what their assistant says.",
        owasp="MCP06",
    ),
    _rule(
        "text-steers-choice",
        "A definition pushes its tool before all others",
        "Requests that other tools are meant for, and their data, go to this server.",
        safe_mcp=("SAFE-T1008",),
    ),
    _rule(
        "text-plants-memories",
        "A definition has something remembered, or written into rules of the model",
        "What is planted once governs sessions that never see this server.",
        owasp="MCP06",
    ),
    _rule(
        "text-skips-consent",
        "A definition tells the model not to ask the user, or that the user has agreed",
        "The person who could say no is not asked.",
        owasp="MCP02",
    ),
    _rule(
        "text-orders-beyond-its-function",
        "A definition gives orders that have little to do with its function",
        "Several signs of an order to the model stand in one sentence: what is read, sent"
        " or changed, for whom, and in whose name.",
    ),
    _rule(
        "text-hidden-characters",
        "A definition has characters that nobody sees",
        "A person reviews one text, and the model reads another.",
        safe_mcp=("SAFE-T1402",),
    ),
    _rule(
        "text-look-alike-letters",
        "A definition has words in look-alike letters",
        "Searches and filters do not find what the model reads all the same.",
        safe_mcp=("SAFE-T1402",),
    ),
    _rule(
        "text-padding",
        "A definition pushes a part of itself out of view",
        "Who reviews it does not scroll that far; the model reads all of it.",
        safe_mcp=("SAFE-T1402",),
    ),
    _rule(
        "text-encoded",
        "A definition has instructions in a code",
        "A person does not read it; a model does, or is told to.",
        safe_mcp=("SAFE-T1402",),
    ),
    _rule(
        "text-gives-pretext",
        "A definition gives a pretext for what it asks",
        "Words like compliance and validation make unrelated demands look due. Counts only"
        " beside other rules.",
    ),
    _rule(
        "text-threatens",
        "A definition threatens with failure if the model does not obey",
        "Models give in to it. Counts only beside other rules.",
    ),
)
