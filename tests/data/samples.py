"""One tiny sample per format, made by us, and what must come out of it: (prompt, chosen, rejected, label, strength)."""

from __future__ import annotations

import json
import math
from typing import Any

from karat.types import Account, AccountEntry, Message, TokenIds

NAN = math.nan


def chat(*turns: str, first: str = "user") -> list[dict[str, str]]:
    """Turns as JSON, user and assistant in alternation."""
    roles = ("user", "assistant") if first == "user" else ("assistant", "user")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]


def turns(*texts: str, first: str = "user") -> tuple[Message, ...]:
    return tuple(Message(turn["role"], turn["content"]) for turn in chat(*texts, first=first))


def reply(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),)


GOOD = {"prompt": "Q", "chosen": "a", "rejected": "b"}


def numbered(n: int) -> list[dict[str, Any]]:
    return [{"prompt": f"Q{i}", "chosen": "a", "rejected": "b"} for i in range(n)]


def jsonl(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def entries(account: Account) -> list[tuple[str, str, int, tuple[int, ...]]]:
    return [(entry.action, entry.reason, entry.count, entry.first_rows) for entry in account]


def only(account: Account) -> AccountEntry:
    (entry,) = account
    return entry


Q1, Q2 = turns("What is 2+2?"), turns("Name a colour.")
RATED = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")


def rated(prompt: str, response: str, helpfulness: int) -> dict[str, Any]:
    return {"prompt": prompt, "response": response, **dict.fromkeys(RATED, 3), "helpfulness": helpfulness}


def rate(response: str, score: float, rating: str) -> dict[str, Any]:
    aspects = ("helpfulness", "honesty", "truthfulness", "instruction_following")
    ratings = {name: {"Rating": rating, "Rationale": "so"} for name in aspects}
    return {"model": "m", "response": response, "overall_score": score, "annotations": ratings}


ROWS: dict[str, list[dict[str, Any]]] = {
    "karat": [
        {"prompt": "2+2=", "chosen": "4", "rejected": "5", "label": 0.75, "prompt_id": "p", "strength": 1.5},
        {"prompt": "2+2=", "chosen": "22", "rejected": "four", "label": 0.25, "prompt_id": "p", "strength": 0.5},
    ],
    "ultrafeedback": [
        {
            "source": "flan",
            "instruction": "What is 2+2?",
            "models": ["m", "n", "o"],
            "completions": [rate("5", 3.0, "N/A"), rate("4", 8.5, "5"), rate("four", 8.5, "4")],
        }
    ],
    "argilla": [
        {
            "source": "flan",
            "instruction": "What is 2+2?",
            "chosen_response": "4",
            "rejected_response": "5",
            "chosen_avg_rating": 4.5,
            "rejected_avg_rating": 2.0,
        }
    ],
    "helpsteer3": [
        {
            "domain": "code",
            "context": chat("What is 2+2?"),
            "response1": "5",
            "response2": "4",
            "overall_preference": 2,
        },
        {
            "domain": "stem",
            "context": chat("Name a colour."),
            "response1": "red",
            "response2": "Bob",
            "overall_preference": -3,
        },
        {
            "domain": "stem",
            "context": chat("Name a colour."),
            "response1": "blue",
            "response2": "tan",
            "overall_preference": 0,
        },
    ],
    "helpsteer2-preference": [
        {"split": "train", "prompt": "What is 2+2?", "response_1": "4", "response_2": "5", "preference_strength": -1},
        {
            "split": "train",
            "prompt": "What is 2+2?\n<extra_id_1>Assistant\n4\n<extra_id_1>User\nName a colour.",
            "response_1": "Bob",
            "response_2": "red",
            "preference_strength": 3,
        },
    ],
    "helpsteer2": [
        rated("What is 2+2?", "5", 1),
        rated("What is 2+2?", "4", 4),
        rated("Name a colour.", "red", 3),
        rated("Name a colour.", "blue", 3),
    ],
    "arena-55k": [
        {
            "id": 7,
            "prompt": json.dumps(["What is 2+2?", "Sure?"]),
            "response_a": json.dumps(["5", "yes"]),
            "response_b": json.dumps(["4", "yes"]),
            "winner_model_a": 0,
            "winner_model_b": 1,
            "winner_tie": 0,
        },
        {
            "id": 8,
            "prompt": json.dumps(["Name a colour."]),
            "response_a": json.dumps(["red"]),
            "response_b": json.dumps(["blue"]),
            "winner_model_a": 0,
            "winner_model_b": 0,
            "winner_tie": 1,
        },
    ],
    "arena-140k": [
        {
            "conversation_a": [
                {"role": r, "content": [{"type": "text", "text": t}]} for r, t in (("user", q), ("assistant", a))
            ],
            "conversation_b": [
                {"role": r, "content": [{"type": "text", "text": t}]} for r, t in (("user", q), ("assistant", b))
            ],
            "winner": winner,
        }
        for q, a, b, winner in (
            ("What is 2+2?", "4", "5", "model_a"),
            ("What is 2+2?", "5", "4", "model_b"),
            ("Name a colour.", "Bob", "Eve", "both_bad"),
        )
    ],
    "two-responses": [
        {"prompt": "What is 2+2?", "response_a": "5", "response_b": "4", "winner": "b"},
        {"prompt": "Name a colour.", "response_a": "red", "response_b": "blue", "winner": "tie"},
    ],
    "annotator-votes": [
        {
            "instruction": "What is",
            "input": "2+2?",
            "response1": "5",
            "response2": "4",
            "annotator1": 2,
            "annotator2": 2,
            "annotator3": 0,
            "annotator4": 2,
        },
        {
            "instruction": "Name a colour.",
            "input": "",
            "response1": "red",
            "response2": "blue",
            "annotator1": 1,
            "annotator2": 2,
            "annotator3": 2,
            "annotator4": 1,
        },
    ],
    "rewardbench": [
        {
            "prompt": "What is 2+2?",
            "chosen": "4",
            "chosen_model": "x",
            "rejected": "5",
            "rejected_model": "y",
            "subset": "math",
            "id": 1,
        }
    ],
    "rewardbench2": [
        {
            "id": "12",
            "prompt": "Name a colour.",
            "chosen": ["red", "blue"],
            "rejected": ["Bob"],
            "num_correct": 2,
            "subset": "Ties",
        }
    ],
    "nemo-preference": [
        {
            "context": chat("What is 2+2?"),
            "completions": [
                {"rank": 1, "completion": chat("5", first="assistant")},
                {"rank": 0, "completion": chat("4", first="assistant")},
            ],
            "task_name": "maths",
        }
    ],
    "nemo-binary": [{"prompt": chat("What is 2+2?"), "chosen": "4", "rejected": "5"}],
    "llamafactory-v1": [{"chosen_messages": chat("What is 2+2?", "4"), "rejected_messages": chat("What is 2+2?", "5")}],
    "llamafactory-sharegpt": [
        {
            "conversations": [{"from": "human", "value": "What is 2+2?"}],
            "chosen": {"from": "gpt", "value": "4"},
            "rejected": {"from": "gpt", "value": "5"},
            "system": "Be brief.",
        }
    ],
    "llamafactory-alpaca": [
        {"instruction": "What is", "input": "2+2?", "chosen": "4", "rejected": "5", "history": [["Hi", "Hello"]]}
    ],
    "ms-swift": [
        {"messages": chat("What is 2+2?", "4"), "rejected_response": "5", "margin": 0.5},
        {"messages": chat("Name a colour.", "red"), "rejected_response": "Bob", "margin": 1.0},
    ],
    "axolotl": [{"system": "Be brief.", "input": "What is 2+2?", "chosen": "4", "rejected": "5"}],
    "paddlenlp": [
        {"src": ["Hi", "What is 2+2?"], "tgt": ["Hello"], "response": ["5", "4"], "sort": [0, 1]},
        {"src": ["Name a colour."], "tgt": [], "response": ["red", "blue"], "sort": [1, 1]},
    ],
    "trl-tokenised": [{"chosen_ids": [1, 2, 3], "rejected_ids": [1, 2, 4], "margin": 2.0}],
    "ultrafeedback-binarized": [
        {
            "prompt": "What is 2+2?",
            "prompt_id": "abc",
            "chosen": chat("What is 2+2?", "4"),
            "rejected": chat("What is 2+2?", "5"),
            "messages": chat("What is 2+2?", "4"),
            "score_chosen": 8.0,
            "score_rejected": 3.5,
        }
    ],
    "trl-conversational": [
        {"chosen": chat("What is 2+2?", "4"), "rejected": chat("What is 2+2?", "5"), "source": "magpie"},
        {"chosen": chat("Name a colour.", "red"), "rejected": chat("Name a colour.", "Bob"), "source": "offset"},
    ],
    "hh-rlhf": [
        {
            "chosen": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: What is 2+2?\n\nAssistant: 4",
            "rejected": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: What is 2+2?\n\nAssistant: 5",
        }
    ],
    "trl-standard": [
        {"prompt": "2+2=", "chosen": "4", "rejected": "5", "margin": 1.0},
        {"prompt": "3+3=", "chosen": "6", "rejected": "7", "margin": 2.0},
    ],
}

HH_PROMPT = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: What is 2+2?\n\nAssistant:"
BRIEF = (Message("system", "Be brief."), *Q1)

EXPECTED: dict[str, list[tuple[Any, Any, Any, float, float]]] = {
    "karat": [("2+2=", "4", "5", 0.75, 1.5), ("2+2=", "four", "22", 0.75, 0.5)],
    "ultrafeedback": [
        (Q1, reply("4"), reply("5"), 1.0, 5.5),
        (Q1, reply("four"), reply("5"), 1.0, 5.5),
        (Q1, reply("4"), reply("four"), 0.5, 0.0),
    ],
    "argilla": [(Q1, reply("4"), reply("5"), 1.0, 2.5)],
    "helpsteer3": [
        (Q1, reply("4"), reply("5"), 1.0, 2.0),
        (Q2, reply("red"), reply("Bob"), 1.0, 3.0),
        (Q2, reply("blue"), reply("tan"), 0.5, 0.0),
    ],
    "helpsteer2-preference": [
        (Q1, reply("4"), reply("5"), 1.0, 1.0),
        (turns("What is 2+2?", "4", "Name a colour."), reply("red"), reply("Bob"), 1.0, 3.0),
    ],
    "helpsteer2": [(Q1, reply("4"), reply("5"), 1.0, 3.0), (Q2, reply("red"), reply("blue"), 0.5, 0.0)],
    "arena-55k": [
        (
            Q1,
            turns("4", "Sure?", "yes", first="assistant"),
            turns("5", "Sure?", "yes", first="assistant"),
            1.0,
            NAN,
        ),
        (Q2, reply("red"), reply("blue"), 0.5, NAN),
    ],
    "arena-140k": [
        (Q1, reply("4"), reply("5"), 1.0, NAN),
        (Q1, reply("4"), reply("5"), 1.0, NAN),
        (Q2, reply("Bob"), reply("Eve"), 0.5, NAN),
    ],
    "two-responses": [(Q1, reply("4"), reply("5"), 1.0, NAN), (Q2, reply("red"), reply("blue"), 0.5, NAN)],
    "rewardbench": [(Q1, reply("4"), reply("5"), 1.0, NAN)],
    "annotator-votes": [  # three and a half votes of four; two of four
        (turns("What is\n2+2?"), reply("4"), reply("5"), 0.875, NAN),
        (Q2, reply("red"), reply("blue"), 0.5, NAN),
    ],
    "rewardbench2": [
        (Q2, reply("red"), reply("Bob"), 1.0, NAN),
        (Q2, reply("blue"), reply("Bob"), 1.0, NAN),
        (Q2, reply("red"), reply("blue"), 0.5, NAN),
    ],
    "nemo-preference": [(Q1, reply("4"), reply("5"), 1.0, NAN)],
    "nemo-binary": [(Q1, reply("4"), reply("5"), 1.0, NAN)],
    "llamafactory-v1": [(Q1, reply("4"), reply("5"), 1.0, NAN)],
    "llamafactory-sharegpt": [(BRIEF, reply("4"), reply("5"), 1.0, NAN)],
    "llamafactory-alpaca": [(turns("Hi", "Hello", "What is\n2+2?"), reply("4"), reply("5"), 1.0, NAN)],
    "ms-swift": [(Q1, reply("4"), reply("5"), 1.0, 0.5), (Q2, reply("red"), reply("Bob"), 1.0, 1.0)],
    "axolotl": [(BRIEF, reply("4"), reply("5"), 1.0, NAN)],
    "paddlenlp": [
        (turns("Hi", "Hello", "What is 2+2?"), reply("4"), reply("5"), 1.0, NAN),
        (Q2, reply("red"), reply("blue"), 0.5, NAN),
    ],
    "trl-tokenised": [("", TokenIds((1, 2, 3)), TokenIds((1, 2, 4)), 1.0, 2.0)],
    "ultrafeedback-binarized": [(Q1, reply("4"), reply("5"), 1.0, 4.5)],
    "trl-conversational": [(Q1, reply("4"), reply("5"), 1.0, NAN), (Q2, reply("red"), reply("Bob"), 1.0, NAN)],
    "hh-rlhf": [(HH_PROMPT, " 4", " 5", 1.0, NAN)],
    "trl-standard": [("2+2=", "4", "5", 1.0, 1.0), ("3+3=", "6", "7", 1.0, 2.0)],
}
