"""Independent, slow and plain versions of what the package computes fast."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate


def fewest(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int]:
    """Errors and hits of the best alignment: the table of all prefixes, each cell the best (errors, -hits)."""
    table = {(0, 0): (0, 0)}
    for i in range(len(reference) + 1):
        for j in range(len(hypothesis) + 1):
            choices = []
            if i and j:
                errors, hits = table[i - 1, j - 1]
                same = reference[i - 1] == hypothesis[j - 1]
                choices.append((errors, hits - 1) if same else (errors + 1, hits))
            if i:
                choices.append((table[i - 1, j][0] + 1, table[i - 1, j][1]))
            if j:
                choices.append((table[i, j - 1][0] + 1, table[i, j - 1][1]))
            if choices:
                table[i, j] = min(choices)
    errors, hits = table[len(reference), len(hypothesis)]
    return errors, -hits


def corrupted(words: Sequence[str], vocabulary: Sequence[str], rate: float, chance: random.Random) -> list[str]:
    """Words as a bad recogniser might hear them."""
    heard: list[str] = []
    for word in words:
        draw = chance.random()
        if draw < rate * 0.6:
            heard.append(chance.choice(vocabulary))
        elif draw < rate * 0.8:
            continue
        elif draw < rate:
            heard += [word, chance.choice(vocabulary)]
        else:
            heard.append(word)
    return heard


VOCABULARY = [f"w{number}" for number in range(2000)]


def heard_again(references: Sequence[str], seed: int, rate: float) -> list[str]:
    """What another recogniser makes of the same utterances."""
    chance = random.Random(seed)
    return [" ".join(corrupted(text.split(), VOCABULARY, rate, chance)) for text in references]


def corpus(utterances: int, seed: int, rate: float = 0.12, words: int = 12) -> tuple[list[str], list[str]]:
    """References and hypotheses with about `rate` errors a word and a frequent-word distribution."""
    chance = random.Random(seed)
    weights = list(accumulate(1 / (number + 1) for number in range(len(VOCABULARY))))
    references = [
        " ".join(chance.choices(VOCABULARY, cum_weights=weights, k=chance.randint(1, 2 * words - 1))) for _ in range(utterances)
    ]
    return references, heard_again(references, seed, rate)
