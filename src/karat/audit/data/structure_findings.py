"""What the structure part of `karat audit data` states, when, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from karat.numerics.intervals import UNDEFINED, Interval, clustered_proportion
from karat.types import Finding, Verdict

REPEATS_THAT_MATTER = 0.005
"""Share of pairs."""
LEFTOVERS_THAT_MATTER = 0.005
LANGUAGES_THAT_MATTER = 0.01
CUT_THAT_MATTERS = 0.01
NEAR_PROMPTS_THAT_MATTER = 0.01
SHOWN_CHARS = 90

_ALL = "The whole set is looked at, so the verdict goes by the share itself; the interval, over prompts, is for other "
_ALL += "pairs of this kind."

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "DA101": (
        "Exact duplicates",
        "The share of pairs that repeat an earlier pair: same prompt, same two responses, same preference, same "
        f"annotator where annotators are named; case and white space do not count. {_ALL}",
        "problem: above 0.5 % of pairs. ok: at most that. not checked: one pair.",
        "Repeated pairs count twice in the loss and make intervals too narrow: drop all but one (--fix dedupe).",
    ),
    "DA102": (
        "Near duplicates",
        "The share of pairs that nearly repeat an earlier pair or another one of their group: the prompts and both "
        "responses (side by side, or exchanged) have a Jaccard index of at least --near between their sets of two-word "
        "shingles. Candidates come from MinHash signatures, so some may be missed: the baseline names the recall at "
        "the threshold; each one reported was compared exactly.",
        "problem: above 0.5 % of pairs. ok: at most that. unclear: at most that, and the search was cut short. "
        "not checked: one pair.",
        "Keep one pair of each group (--fix dedupe), and keep groups on one side of a split (--fix resplit).",
    ),
    "DA103": (
        "Same responses, opposite preference",
        "The share of pairs whose two responses also stand in the data with the other one preferred, by the same "
        "annotator or with no annotator named. At least one of the two labels is wrong, or both should be a tie.",
        "problem: any. ok: none, or only where different annotators disagree (see the label noise part). "
        "not checked: one pair.",
        "Label them again, or make them a tie (--fix soften); dropping both is the last resort.",
    ),
    "DA104": (
        "Both sides are the same text",
        "Rows whose two responses are equal and are no tie, as a share of the rows read: those that the reader dropped "
        "(byte by byte equal) and those that it kept (equal but for white space at the end). Those that differ in case "
        "or in other white space alone (capitals, indentation) are counted beside it.",
        "problem: above 0.5 % of rows. ok: at most that. unclear: at most that, and more than 0.5 % differ in case or "
        "white space alone.",
        "A pair of equal texts has no preferred one: find out where the export lost the difference.",
    ),
    "DA105": (
        "An empty side",
        "Rows with a response without any text, as a share of the rows read: both empty (dropped by the reader) or one "
        "(kept).",
        "problem: above 0.5 % of rows, or any whose preferred side is the empty one. ok: else.",
        "An empty response that wins teaches that saying nothing pays: read those rows, drop what is an export error.",
    ),
    "DA106": (
        "Prompts that differ between the sides",
        "Rows dropped because their two sides do not answer the same prompt, as a share of the rows read.",
        "problem: above 0.5 % of rows. ok: at most that.",
        "Two answers to two questions are no preference: mend the export.",
    ),
    "DA107": (
        "Rows that could not be used",
        "Rows that the reader dropped for any other reason, as a share of the rows read; the account names the "
        "reasons.",
        "problem: above 0.5 % of rows. ok: at most that.",
        "Look at the account's first rows of each reason, and mend the file or name its format.",
    ),
    "DA111": (
        "Held-out prompts that are in the training data",
        "The share of distinct held-out prompts that occur among the training prompts, exactly (but for case, white "
        "space and turn labels) or with a Jaccard index of at least --near. Held out are the pairs of --test, or those "
        "that a column of the data calls test, validation, dev or eval.",
        "problem: any. ok: none. not checked: nothing is held out.",
        "Accuracy on those prompts is no accuracy on new ones: split again by groups of prompts (--fix resplit).",
    ),
    "DA112": (
        "Prompts that several sources share",
        "The share of distinct prompts of the smaller of two sources that the other has too, exactly or nearly: the "
        "largest such share over pairs of sources.",
        "problem: above 1 %. ok: at most that. not checked: one source.",
        "Sources that share prompts are no independent evidence, and a mixture of them repeats itself.",
    ),
    "DA113": (
        "Prompts that nearly repeat others",
        "The share of distinct prompts that are near duplicates of an earlier one (Jaccard index of at least --near): "
        "a split by prompt puts them on both sides.",
        "problem: above 1 %. ok: at most that. unclear: at most that, and the search was cut short. not checked: one "
        "prompt.",
        "Split by groups of near prompts (--fix resplit).",
    ),
    "DA121": (
        "Benchmark rows in the data",
        "The share of rows of the named benchmark files whose prompt is in the data: as a prompt (equal, or a Jaccard "
        "index of at least --near), or with at least half of its 13-word sequences within one prompt or response (8-"
        "word ones for prompts of 8 to 12 words; shorter ones only as a whole prompt). Sequences that more than three "
        "rows of a benchmark share are its template and do not count.",
        "problem: any. ok: none. not checked: no --benchmark.",
        "Leave those pairs out (the table names them), or do not report that benchmark.",
    ),
    "DA131": (
        "The two sides are in different languages",
        "The share of pairs whose responses are recognised as different languages, each with at least 95 % probability "
        "and 100 letters outside of code. On a sample where the data is large.",
        "problem: the share (of a sample: its whole interval) is above 1 %. ok: it is not. unclear: on a sample, "
        "neither. not checked: no two responses that are long enough.",
        "A preference between languages is about the language: read those pairs.",
    ),
    "DA132": (
        "Leftovers of templates and encodings",
        "The share of pairs with a response that holds chat markup (<|im_start|>, [INST]), an end-of-text token, a "
        "turn label at the start of a paragraph, mojibake, or control characters. The table has these, and HTML "
        "entities, invisible characters and open code fences, by side.",
        "problem: above 0.5 % of pairs. ok: at most that.",
        "Clean the text before training: such marks are tokens that the model takes for structure.",
    ),
    "DA133": (
        "Leftovers that tell the sides apart",
        "The kind of leftover (or unfinished ending) that is most often on one side only: the share of pairs that "
        "have it in the chosen response only, less that in the rejected one only. An exact sign test over prompts, "
        "Holm over the kinds.",
        "problem: adjusted p below 0.01 and at least 1 % of pairs. ok: else. unclear: at least 1 % of pairs, but of so "
        "few prompts (below 11) that the test could not tell.",
        "A reward can learn the mark instead of the preference: clean both sides alike.",
    ),
    "DA141": (
        "Pairs longer than --max-length",
        "The share of pairs whose prompt and longer response have more tokens than a trainer will keep. Pairs with no "
        "more bytes than that cannot; of the others a sample is tokenised, or their tokens are estimated from "
        "characters, and the baseline says which.",
        "problem: the share (its whole interval, where sampled or estimated) is above 1 %. ok: it is not. unclear: on "
        "a sample, neither.",
        "Raise --max-length, or leave long pairs out: a response judged by its beginning is judged by something else.",
    ),
    "DA142": (
        "Pairs that differ only beyond the cut",
        "The share of pairs whose two sides are equal in their first --max-length tokens, prompt included: a trainer "
        "that keeps the beginning sees one text twice.",
        "problem: any. ok: none. unclear: the tokens are estimated, and there may be some.",
        "Leave those pairs out, or raise --max-length.",
    ),
}


def finding(
    code: str, verdict: Verdict, interval: Interval = UNDEFINED, unit: str = "share of pairs", **rest: Any
) -> Finding:
    """A finding of this part; a problem without an action of its own gets that of its explanation."""
    title, *_, action = EXPLANATIONS[code]
    rest.setdefault("action", action if verdict == "problem" else "")
    return Finding(
        code=code, title=title, verdict=verdict, effect=interval.estimate, low=interval.low, high=interval.high,
        unit=unit, **rest,
    )  # fmt: skip


def not_checked(code: str, reason: str, unit: str = "share of pairs") -> Finding:
    return finding(code, "not checked", unit=unit, action=reason)


def share(hit_P: np.ndarray, cluster_P: np.ndarray) -> Interval:
    """Share of hits with an interval clustered by prompt."""
    return clustered_proportion(hit_P.astype(np.float64), cluster_P)


def verdict_of(interval: Interval, limit: float, *, is_census: bool = True) -> Verdict:
    """By the share where all were looked at, else by the whole interval."""
    if is_census:
        return "problem" if interval.estimate > limit else "ok"
    if interval.low > limit:
        return "problem"
    return "ok" if interval.high <= limit else "unclear"


def shown(text: str, most: int = SHOWN_CHARS) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text[: 4 * most].split())
    return (line[: most - 3] + "..." if len(line) > most else line) or "(empty)"


def first_three(indices: Sequence[int] | np.ndarray) -> list[int]:
    return [int(index) for index in indices[:3]]
