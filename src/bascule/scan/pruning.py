"""The part of a value that is looked at: a file may be made so that looking takes hours."""

from __future__ import annotations

from dataclasses import dataclass

DEEPEST = 16
LONGEST_TEXT = 8_192


@dataclass(slots=True)
class Budget:
    """How much of a value is kept; it goes down while that is taken from it."""

    values: int
    """Texts, numbers, lists and maps."""
    characters: int
    was_cut: bool = False
    """There was more."""

    def share(self, values: int, characters: int) -> Budget:
        """Take a part out, which is no larger than what is left; `give_back` the rest."""
        part = Budget(min(values, self.values), min(characters, self.characters))
        self.values -= part.values
        self.characters -= part.characters
        return part

    def give_back(self, part: Budget) -> None:
        """Take back what of a part was not used."""
        self.values += part.values
        self.characters += part.characters


def pruned(value: object, budget: Budget, depth: int = 0) -> object:
    """Give a value without what goes beyond a budget, or is nested too deep."""
    if isinstance(value, str):
        room = min(budget.characters, LONGEST_TEXT)
        budget.was_cut |= len(value) > room
        kept = value[:room]
        budget.characters -= len(kept)
        return kept
    if not isinstance(value, dict | list):
        return value
    budget.was_cut |= depth > DEEPEST or len(value) > budget.values
    room = 0 if depth > DEEPEST else budget.values
    budget.values -= min(len(value), room)
    if isinstance(value, list):
        return [pruned(each, budget, depth + 1) for each in value[:room]]
    pairs = list(value.items())[:room]
    return {key: pruned(each, budget, depth + 1) for key, each in pairs}
