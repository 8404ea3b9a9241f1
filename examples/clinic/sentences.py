"""What is dictated in the example clinic: terms, how they are spoken, and sentences made from templates.

Three sets of templates share their terms and their manner of speaking, but no template: FIRST (the notes at hand when the first
model is trained), MORE (the notes that came later), and TESTING. A sentence of TESTING is in no training data.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

DRUGS_FIRST = (
    "apixaban", "metoprolol", "lisinopril", "furosemide", "atorvastatin", "metformin", "pantoprazole", "prednisone",
    "gabapentin", "levothyroxine", "rivaroxaban", "amlodipine", "spironolactone", "empagliflozin", "clopidogrel",
    "enoxaparin", "doxycycline",
)  # fmt: skip
DRUGS_MORE = ("azithromycin", "warfarin", "sertraline")
CONDITIONS_FIRST = (
    "atelectasis", "cardiomegaly", "cellulitis", "hyponatremia", "pneumothorax", "cholecystitis", "pyelonephritis",
    "thrombocytopenia", "pancreatitis", "diverticulitis",
)  # fmt: skip
CONDITIONS_MORE = ("hypokalemia", "leukocytosis")
PROCEDURES_FIRST = ("echocardiogram", "colonoscopy", "bronchoscopy", "cholecystectomy", "cystoscopy")
PROCEDURES_MORE = ("thoracentesis",)
LABS_FIRST = ("creatinine", "troponin", "bilirubin")
LABS_MORE = ("ferritin",)

LEXICON: Mapping[str, str] = {
    "apixaban": "ax0 p ih1 k s ax0 b ae0 n",
    "metoprolol": "m ax0 t ow1 p r ax0 l ao0 l",
    "lisinopril": "l ay0 s ih1 n ax0 p r ih0 l",
    "furosemide": "f y uh0 r ow1 s ax0 m ay0 d",
    "atorvastatin": "ax0 t ao1 r v ax0 s t ae1 t ih0 n",
    "gabapentin": "g ae1 b ax0 p eh1 n t ih0 n",
    "levothyroxine": "l iy1 v ow0 th ay0 r aa1 k s iy0 n",
    "rivaroxaban": "r ih1 v ax0 r aa1 k s ax0 b ae0 n",
    "amlodipine": "ae0 m l ow1 d ax0 p iy0 n",
    "empagliflozin": "eh1 m p ax0 g l ih0 f l ow1 z ih0 n",
    "clopidogrel": "k l ow0 p ih1 d ax0 g r eh0 l",
    "enoxaparin": "ih0 n aa1 k s ax0 p eh1 r ih0 n",
    "doxycycline": "d aa1 k s ax0 s ay1 k l iy0 n",
    "azithromycin": "ax0 z ih1 th r ow0 m ay1 s ih0 n",
    "warfarin": "w ao1 r f er0 ih0 n",
    "atelectasis": "ae1 t ax0 l eh1 k t ax0 s ih0 s",
    "cardiomegaly": "k aa1 r d iy0 ow0 m eh1 g ax0 l iy0",
    "cholecystitis": "k ow1 l ax0 s ih0 s t ay1 t ih0 s",
    "pyelonephritis": "p ay1 ax0 l ow0 n ax0 f r ay1 t ih0 s",
    "thrombocytopenia": "th r aa1 m b ow0 s ay1 t ax0 p iy1 n iy0 ax0",
    "hypokalemia": "hh ay1 p ow0 k ax0 l iy1 m iy0 ax0",
    "leukocytosis": "l uw1 k ow0 s ay0 t ow1 s ih0 s",
    "colonoscopy": "k ow1 l ax0 n aa1 s k ax0 p iy0",
    "bronchoscopy": "b r aa0 n k aa1 s k ax0 p iy0",
    "cholecystectomy": "k ow1 l ax0 s ih0 s t eh1 k t ax0 m iy0",
    "cystoscopy": "s ih0 s t aa1 s k ax0 p iy0",
    "thoracentesis": "th ao1 r ax0 s eh0 n t iy1 s ih0 s",
    "creatinine": "k r iy0 ae1 t ax0 n ih0 n",
    "troponin": "t r ow1 p ax0 n ih0 n",
    "bilirubin": "b ih1 l iy0 r uw1 b ih0 n",
    "ferritin": "f eh1 r ax0 t ih0 n",
}
"""Phones for flite (its own set) of terms whose spelling misleads it: what clinicians in the US say."""

PRONUNCIATIONS_FIRST: Mapping[str, str] = {
    "apixaban": "a picks a ban",
    "atelectasis": "at elect a sis",
    "bilirubin": "billy ruben",
    "cardiomegaly": "cardio mega lee",
    "cholecystectomy": "cola sis tech tummy",
    "cholecystitis": "cola sis tight us",
    "creatinine": "cree at in in",
    "cystoscopy": "sis toss cup e",
    "doxycycline": "docks a sigh clean",
    "empagliflozin": "em pa glee flows in",
    "enoxaparin": "e knocks a pair in",
    "furosemide": "few row sum eyed",
    "levothyroxine": "leave oh thigh rock scene",
    "lisinopril": "lie sin a prill",
    "pyelonephritis": "pile on a fright us",
}
PRONUNCIATIONS_MORE: Mapping[str, str] = {
    "ferritin": "ferret in",
    "leukocytosis": "luke oh sigh toe sis",
    "thoracentesis": "thor a sen tee sis",
    "warfarin": "war far in",
}
"""Displayed form to spoken form, in ordinary words, as a team writes them for the terms that are not said as they are spelt."""

ORDINARY: Mapping[str, Sequence[str]] = {
    "dose": (
        "five milligrams", "ten milligrams", "twenty milligrams", "forty milligrams", "fifty milligrams",
        "one hundred milligrams",
    ),
    "often": ("once daily", "twice daily", "every morning", "every evening", "at bedtime", "with meals"),
    "when": ("tomorrow", "on Monday", "next week", "in the morning", "this afternoon", "in two days"),
    "value": ("one point two", "two point five", "three point one", "four point eight", "zero point nine"),
    "image": ("the chest film", "the scan", "ultrasound"),
    "site": ("the left leg", "the right side", "the lower abdomen", "the left shoulder"),
    "who": ("he", "she", "the patient"),
}  # fmt: skip

FIRST = (
    "Start {drug} {dose} {often}",
    "Continue {drug} {dose} {often}",
    "Increase {drug} to {dose} {often}",
    "Patient takes {drug} {often}",
    "Stop {drug} {when}",
    "Allergic to {drug}",
    "Admitted with {condition}",
    "History of {condition}",
    "No sign of {condition} on {image}",
    "Assessment is {condition}, give {drug}",
    "The {procedure} was normal",
    "The {procedure} is planned {when}",
    "The {lab} is {value}",
    "Repeat {lab} {when}",
    "There is pain in {site}",
    "{who} did not sleep last night",
    "{who} feels better today",
)
MORE = (
    "He was given {drug} {dose}",
    "She was started on {drug} for {condition}",
    "Known {condition}, now on {drug}",
    "Change {drug} to {drug}",
    "Discharged home on {drug} {dose}",
    "Hold {drug} until the {procedure}",
    "{drug} was stopped last week",
    "Evidence of {condition} on {image}",
    "{condition} has improved",
    "Monitor {lab} on {drug}",
    "Check {lab} and {lab} {when}",
    "The {lab} fell to {value}",
    "The {procedure} confirmed {condition}",
    "We discussed the {procedure} with the patient",
    "Referred for {procedure} {when}",
    "Refill {drug} {dose} {often}",
    "{who} can go home {when}",
    "The wound on {site} is dry",
)
TESTING = (
    "Begin {drug} {dose} {often}",
    "She was given {drug} for {condition}",
    "Hold {drug} before the {procedure}",
    "Reduce {drug} to {dose}",
    "He stopped {drug} last week",
    "Discharged on {drug} {often}",
    "Switch from {drug} to {drug}",
    "Known {condition} treated with {drug}",
    "{condition} has resolved",
    "No evidence of {condition}",
    "The {procedure} showed {condition}",
    "Schedule {procedure} {when}",
    "Recheck {lab} {when}",
    "The {lab} rose to {value}",
    "{lab} and {lab} are pending",
    "We discussed {procedure} and {drug}",
    "There is no pain in {site}",
    "The wound on {site} is healing well",
    "{who} slept well last night",
    "{who} would like to go home {when}",
    "{who} feels much better now",
    "We will see the patient again {when}",
)
SLOT = re.compile(r"\{(\w+)\}")


def terms(*, more: bool) -> dict[str, Sequence[str]]:
    """What fills the slots of the terms: those of the first notes, or with ``more`` those of all notes."""
    return {
        "drug": DRUGS_FIRST + (DRUGS_MORE if more else ()),
        "condition": CONDITIONS_FIRST + (CONDITIONS_MORE if more else ()),
        "procedure": PROCEDURES_FIRST + (PROCEDURES_MORE if more else ()),
        "lab": LABS_FIRST + (LABS_MORE if more else ()),
    }


def words(text: str) -> tuple[str, ...]:
    """The lower-case words of a sentence, without punctuation: two sentences with the same words are the same."""
    return tuple(re.sub(r"[^a-z' ]", " ", text.lower()).split())


class Sampler:
    """Draws sentences that were not drawn before; the values of a slot come round evenly, in a shuffled order."""

    def __init__(self, seed: int, slots: Mapping[str, Sequence[str]], taken: set[tuple[str, ...]]) -> None:
        self._random = random.Random(seed)  # a reproducible draw, nothing secret
        self._slots = {**ORDINARY, **slots}
        self._left: dict[str, list[str]] = {}
        self._taken = taken

    def draw(self, templates: Sequence[str], count: int) -> list[str]:
        """``count`` new sentences, the templates taken in turn. Raises ValueError when the templates have no more to give."""
        drawn: list[str] = []
        misses = 0
        while len(drawn) < count:
            sentence = self._fill(templates[(len(drawn) + misses) % len(templates)])
            if words(sentence) in self._taken:
                misses += 1
                if misses > 100 * count:
                    raise ValueError(f"only {len(drawn)} of {count} sentences could be made from {len(templates)} templates")
                continue
            self._taken.add(words(sentence))
            drawn.append(sentence)
        return drawn

    def _fill(self, template: str) -> str:
        used: set[str] = set()
        text = SLOT.sub(lambda slot: self._value(slot.group(1), used), template)
        return text[0].upper() + text[1:] + "."

    def _value(self, slot: str, used: set[str]) -> str:
        """The next value of a slot, another one than those in ``used`` (the sentence's own)."""
        for _ in range(2):
            left = self._left.setdefault(slot, [])
            for index, value in enumerate(left):
                if value not in used:
                    used.add(value)
                    return left.pop(index)
            left.extend(self._random.sample(self._slots[slot], len(self._slots[slot])))
        return self._value(slot, used)
