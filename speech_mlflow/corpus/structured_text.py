"""Structured text: lists of items, pronunciations, and sentences with references to the lists.

::

    // a comment
    @ list dish =
    - ice cream
    - soup
    @ speech:phoneticlexicon
    - soup/s uw p
    # Orders
    - I would like {@dish}

The format is a part of Microsoft's Language Understanding Markdown, as described in "Training and testing datasets" of the
service's documentation. From text to a record and back to plain sentences; no files here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from math import prod

from speech_mlflow.corpus.records import Problem, error, excerpt, quote, warning
from speech_mlflow.corpus.text import Text

MAX_LISTS, MAX_ITEMS, MAX_LEXICON, MAX_PER_WORD = 20, 35_000, 15_000, 2
"""The service's limits: lists, items of a list, entries of the lexicon, pronunciations of a word."""

OTHER_LISTS, OTHER_ITEMS, OTHER_SENTENCES = 10, 4_000, 50_000
"""The limits that another table of the same documentation gives; beyond them we warn."""

MAX_EXPANDED = 1_000
"""Sentences made of one sentence with references, unless the caller says otherwise."""

# no two parts that follow each other may take the same blanks: a line of many would be tried in every division of them
_LIST = re.compile(r"@\s*list\s(?P<name>[^=]*)=(?P<rest>.*)$", re.IGNORECASE)
_LEXICON = re.compile(r"@\s*speech:phoneticlexicon\s*(=\s*)?$", re.IGNORECASE)
_REFERENCE = re.compile(r"\{\s*@([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """A word and its phones, in the service's Universal Phone Set."""

    number: int
    word: str
    phones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a section; ``text`` has references like ``{@dish}``."""

    number: int
    section: str
    text: str

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the lists referred to, in order."""
        return tuple(name.strip() for name in _REFERENCE.findall(self.text))


@dataclass(frozen=True)
class StructuredText:
    """A structured text file. ``rejected`` counts the lines that could not be read; ``problems`` explains them."""

    file: str
    lists: dict[str, tuple[str, ...]]
    lexicon: tuple[Pronunciation, ...]
    sentences: tuple[Sentence, ...]
    problems: tuple[Problem, ...] = ()
    rejected: int = 0


def looks_like_structured_text(text: Text) -> bool:
    """Whether the file declares a list or a lexicon, or has a section of sentences."""
    stripped = [line.strip() for _, line in text.numbered()]
    declares = any(_LIST.match(line) or _LEXICON.match(line) for line in stripped)
    return declares or any(line.startswith("#") and next_.startswith("- ") for line, next_ in pairwise(stripped))


def parse_structured_text(text: Text) -> StructuredText:
    """Read structured text; lines that cannot be read are left out and explained in ``problems``."""
    parser = _Parser(text.file, list(text.problems))
    for number, line in text.numbered():
        parser.line(number, line.strip())
    return parser.finish()


def expand(structured: StructuredText, *, most: int = MAX_EXPANDED) -> Iterator[str]:
    """Plain sentences, with each reference replaced by items of its list; always the same for the same text.

    A sentence whose references have at most ``most`` combinations gives all of them. Of one with more, as many as ``most`` are
    given (or as many as its longest list has items, if that is more), chosen so that every item of every list occurs. A
    sentence that refers to an empty list gives none.
    """
    for sentence in structured.sentences:
        parts = _REFERENCE.split(sentence.text)
        lists = [structured.lists.get(name, ()) for name in sentence.references]
        if not all(lists):
            continue
        for items in _choose(lists, most):
            filled = list(parts)
            filled[1::2] = items
            yield " ".join("".join(filled).split())


def _choose(lists: Sequence[Sequence[str]], most: int) -> Iterator[tuple[str, ...]]:
    if prod(len(items) for items in lists) <= most:
        yield from product(*lists)
        return
    longest = max(len(items) for items in lists)
    seen: set[tuple[int, ...]] = set()
    for step in range(max(most, longest)):
        # One diagonal through all lists after another, each shifted against the one before.
        turn = step // longest
        choice = tuple((step + turn * place) % len(items) for place, items in enumerate(lists))
        if choice not in seen:
            seen.add(choice)
            yield tuple(items[index] for items, index in zip(lists, choice, strict=True))


@dataclass
class _Parser:
    file: str
    problems: list[Problem]
    lists: dict[str, list[str]] = field(default_factory=dict)
    list_lines: dict[str, int] = field(default_factory=dict)
    lexicon: list[Pronunciation] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)
    place: tuple[str, str] | None = None
    """What items belong to now: ("list", name), ("lexicon", ""), ("section", name), or nothing yet."""
    rejected: set[int] = field(default_factory=set)

    def line(self, number: int, line: str) -> None:
        if line.startswith("//"):
            return
        if line.startswith("@"):
            self._declaration(number, line)
        elif line.startswith("#"):
            self._section(number, line.lstrip("#").strip())
        elif line.startswith("-"):
            self._item(number, line[1:].strip())
        else:
            self._reject(number, "not-understood", f"{quote(line)} begins with none of @ # - //", "begin items with '- '")

    def _declaration(self, number: int, line: str) -> None:
        if _LEXICON.match(line):
            self.place = ("lexicon", "")
            return
        found = _LIST.match(line)
        name = found["name"].strip() if found else ""
        if found is None or not name or found["rest"].strip():
            self.place = None
            self._reject(number, "not-understood", f"{quote(line)} declares nothing", "write: @ list name =")
            return
        if name in self.lists:
            what = f"there is a list {quote(name)} already, in line {self.list_lines[name]}"
            self.problems.append(error("duplicate-list", what, self.file, number, "rename it, or join the two"))
        self.lists.setdefault(name, [])
        self.list_lines.setdefault(name, number)
        self.place = ("list", name)

    def _section(self, number: int, name: str) -> None:
        if not re.fullmatch(r"\w+", name):
            what = f"the section name {quote(name)} has more than letters, digits and underscores"
            self.problems.append(error("section-name", what, self.file, number, "write: # Name_1"))
        self.place = ("section", name)

    def _item(self, number: int, item: str) -> None:
        if self.place is None:
            self._reject(number, "no-section", f"{quote(item)} belongs to no list and no section", "put '# Name' above it")
        elif not item:
            self._reject(number, "empty-item", "there is nothing behind the dash", "take the line out")
        elif self.place[0] == "list":
            if re.search(r"[{}]", item):
                self._reject(number, "reference-in-list", "an item of a list holds a brace", "write the item out")
            else:
                self.lists[self.place[1]].append(item)
        elif self.place[0] == "lexicon":
            word, _, phones = item.rpartition("/")
            if word.strip() and phones.strip():
                self.lexicon.append(Pronunciation(number, word.strip(), tuple(phones.split())))
            else:
                self._reject(number, "phones", f"{quote(item)} is no pronunciation", "write: - word/ph o n e s")
        else:
            self.sentences.append(Sentence(number, self.place[1], item))

    def finish(self) -> StructuredText:
        lists = {name: tuple(items) for name, items in self.lists.items()}
        self._check_references(lists)
        self._check_lists(lists)
        self._check_lexicon()
        if not self.sentences:
            self._error("no-sentences", "there are no sentences in it", "put sentences under '# Name'")
        if len(self.sentences) > OTHER_SENTENCES:
            self._warn("many-sentences", f"there are {len(self.sentences):,} sentences; one table allows {OTHER_SENTENCES:,}")
        sentences = tuple(sentence for sentence in self.sentences if sentence.number not in self.rejected)
        return StructuredText(self.file, lists, tuple(self.lexicon), sentences, tuple(self.problems), len(self.rejected))

    def _check_references(self, lists: dict[str, tuple[str, ...]]) -> None:
        used: set[str] = set()
        for sentence in self.sentences:
            used.update(sentence.references)
            for name in sentence.references:
                if name not in lists:
                    hint = f"declare it: @ list {excerpt(name)} =" + (f"; there are {', '.join(lists)}" if lists else "")
                    self._reject(sentence.number, "unknown-list", f"there is no list {quote(name)}", hint)
            if re.search(r"[{}]", _REFERENCE.sub("", sentence.text)):
                what = "a brace is left over; a reference is {@name}"
                self._reject(sentence.number, "reference-form", what, "write the reference as {@name}")
        for name in [name for name in lists if name not in used]:
            what = f"no sentence uses the list {quote(name)}"
            self.problems.append(warning("unused-list", what, self.file, self.list_lines[name]))

    def _check_lists(self, lists: dict[str, tuple[str, ...]]) -> None:
        if len(lists) > MAX_LISTS:
            self._error("many-lists", f"there are {len(lists)} lists; at most {MAX_LISTS} are taken", "join or drop some")
        elif len(lists) > OTHER_LISTS:
            self._warn("many-lists", f"there are {len(lists)} lists; one table of the documentation allows {OTHER_LISTS}")
        for name, items in lists.items():
            line, count = self.list_lines[name], f"the list {quote(name)} has {len(items):,} items"
            if not items:
                what = f"the list {quote(name)} is empty"
                self.problems.append(error("empty-list", what, self.file, line, "add '- item' lines"))
            elif len(items) > MAX_ITEMS:
                self.problems.append(error("long-list", f"{count}; at most {MAX_ITEMS:,} are taken", self.file, line))
            elif len(items) > OTHER_ITEMS:
                what = f"{count}; one table of the documentation allows {OTHER_ITEMS:,}"
                self.problems.append(warning("long-list", what, self.file, line))

    def _check_lexicon(self) -> None:
        if len(self.lexicon) > MAX_LEXICON:
            self._error(
                "long-lexicon", f"there are {len(self.lexicon):,} pronunciations; at most {MAX_LEXICON:,} are taken", None
            )
        counts: dict[str, int] = {}
        for entry in self.lexicon:
            word = entry.word.casefold()
            counts[word] = counts.get(word, 0) + 1
            if counts[word] == MAX_PER_WORD + 1:
                what = f"{quote(entry.word)} has more than {MAX_PER_WORD} pronunciations"
                self.problems.append(error("many-pronunciations", what, self.file, entry.number, "keep the likeliest two"))

    def _reject(self, number: int, code: str, message: str, hint: str) -> None:
        self.rejected.add(number)
        self.problems.append(error(code, message, self.file, number, hint))

    def _error(self, code: str, message: str, hint: str | None = None) -> None:
        self.problems.append(error(code, message, self.file, hint=hint))

    def _warn(self, code: str, message: str) -> None:
        self.problems.append(warning(code, message, self.file))
