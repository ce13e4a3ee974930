"""What a rule says of a passage, and what it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bascule.scan.text import concepts as c
from bascule.scan.text.meaning import MEANINGS
from bascule.scan.text.mood import Act
from bascule.scan.text.reading import Sentence

_OF_TOOLS = (
    "create update play pause book buy sell order pay convert merge start schedule generate"
    " import approve comment reply login connect manage analyze process make take track"
    " place"
    " trade reserve navigate click type press screenshot retrieve review edit move rename"
    " close post lookup view browse count resolve fetch compute calculate"
)
_VERBS = frozenset(_OF_TOOLS.split())
_ACTING = c.CALL | c.READ | c.PUT | c.SEND | c.ALTER | c.DESTROY | c.GRANT | c.CHECK


def acts_by_name(name: str) -> bool:
    """Tell whether a name is of something that does things: `send_mail`, `book_flight`."""
    parts = name.split("_")
    return len(parts) > 1 and any(
        part in _VERBS or (MEANINGS.get(part, 0) & _ACTING and MEANINGS[part] & c.BASE)
        for part in parts[: 2 if len(parts) > 2 else 1]
    )


class Hit(NamedTuple):
    """One rule that applies to one passage."""

    rule: str
    weight: int
    """How much it says by itself: 1 little, 3 enough to be looked at."""
    start: int
    end: int
    """The passage, in the text as it was read."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a text is about, apart from the text."""

    name: str
    topic: int
    """Concepts of the tool's name: what it says it has to do with."""
    parameters: frozenset[str]
    """Names of its own parameters, lower case."""
    siblings: frozenset[str]
    """Names of all tools of its server, lower case; empty where they are not known."""
    of_parameter: bool
    """The text describes a parameter, and orders in it are about its value."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One sentence with the acts in it, and what it belongs to."""

    sentence: Sentence
    acts: tuple[Act, ...]
    subject: Subject

    def hit(self, rule: str, weight: int, *places: int) -> Hit:
        """Make a hit whose passage is the clause from the first place to the last."""
        words = self.sentence.words
        start = max(min(places) - 6, 0) if places else 0
        end = min(max(places) + 8, len(words) - 1) if places else len(words) - 1
        return Hit(rule, weight, self.sentence.starts[start], self.sentence.ends[end])

    def any_told(self) -> Act | None:
        """Give the first act that the model is to do."""
        return next((act for act in self.acts if act.told and not act.denied), None)

    @property
    def protects(self) -> bool:
        """Tell whether one denial lifts another: "never … without asking the user"."""
        words, marks = self.sentence.words, self.sentence.marks
        first = next((at for at, it in enumerate(marks) if it & c.NOT), None)
        second = ("without", "unless", "until")
        return first is not None and any(word in second for word in words[first + 1 :])

    def told(self, concept: int) -> Act | None:
        """Give the first act of a kind that the model is to do."""
        for act in self.acts:
            if act.marks & concept and act.told and not act.denied:
                return act
        return None

    @property
    def is_directive(self) -> bool:
        """The sentence tells the model to do or not to do something."""
        return any(act.told for act in self.acts)

    def names_sibling(self) -> bool:
        """Tell whether the sentence names another tool of this server."""
        names = {
            word
            for word, marks in zip(self.sentence.words, self.sentence.marks, strict=True)
            if marks & c.IDENTIFIER
        }
        return bool(names & self.subject.siblings - {self.subject.name})

    def is_foreign(self, at: int) -> bool:
        """Tell whether a word names a tool that is not of this server.

        Where the siblings are not known, any other name counts as foreign.
        """
        sentence, subject = self.sentence, self.subject
        if not sentence.marks[at] & c.IDENTIFIER:
            return False
        name = sentence.words[at]
        if name == subject.name or name in subject.siblings or name in subject.parameters:
            return False
        # `:param read_all`, `read_all: …` and `read_all=True` speak of a parameter.
        follows = sentence.marks[at + 1] if at + 1 < len(sentence.marks) else 0
        if follows & c.COLON or (at and sentence.words[at - 1] in ("param", "parameter")):
            return False
        return acts_by_name(name) or sentence.within(c.TOOL, at - 2, at + 3) is not None
