"""What a training rests on: pairs to fit and pairs held out, each with the account of its reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from karat.data import PairData, fingerprint, read_pairs, split_pairs, take_pairs
from karat.data.account import account_table
from karat.errors import DataError
from karat.train.config import TrainConfig
from karat.types import Account, AccountEntry, Finding, PreferencePair, Table


@dataclass(frozen=True, slots=True)
class TrainingPairs:
    """Pairs to fit, pairs held out, and what reading them dropped or changed."""

    fit: tuple[PreferencePair, ...]
    held_out: tuple[PreferencePair, ...]
    account: Account
    test_account: Account | None = None
    """Of a source of its own of the held-out pairs; None where they are a share of the others."""

    @property
    def n_pairs(self) -> int:
        return len(self.fit) + len(self.held_out)

    def facts(self) -> dict[str, Any]:
        """For the provenance and the manifest."""
        return {
            "source": self.account.source,
            "format": self.account.format,
            "fingerprint": self.account.fingerprint,
            "rows_read": self.account.rows_read,
            "dropped": self.account.rows_dropped,
            "train_pairs": len(self.fit),
            "train_fingerprint": fingerprint(self.fit),
            "test_pairs": len(self.held_out),
            "test_fingerprint": fingerprint(self.held_out) if self.held_out else "",
        }

    def tables(self, entries: Sequence[AccountEntry]) -> tuple[Table, ...]:
        """The accounts; `entries`: what encoding the training pairs dropped or cut."""
        tables = [account_table(replace(self.account, entries=(*self.account.entries, *entries)))]
        if self.test_account is not None:
            title = "What happened to the rows of the held-out pairs"
            tables.append(replace(account_table(self.test_account), name="account_test", title=title))
        return tuple(tables)


def gather_pairs(
    source: str | Path | Sequence[PreferencePair],
    config: TrainConfig,
    *,
    test_pairs: Sequence[PreferencePair] | None = None,
) -> TrainingPairs:
    """Read the pairs, and part them where no others are held out (`test_pairs`, else config.test_data).

    Raises: DataError: nothing to read, no pair of use, or holding out leaves none to fit.
    """
    data = read_pairs(str(source), **config.reading()) if isinstance(source, str | Path) else take_pairs(source)
    held: PairData | None = None
    if test_pairs:
        held = take_pairs(test_pairs)
    elif test_pairs is None and config.test_data:
        options = config.reading()
        options["split"] = config.test_split
        held = read_pairs(config.test_data, **options)
    if held is not None:
        return TrainingPairs(data.pairs, held.pairs, data.account, held.account)
    if test_pairs is not None or not config.test_fraction:
        return TrainingPairs(data.pairs, (), data.account)
    fit, held_out = split_pairs(data.pairs, test_fraction=config.test_fraction, seed=config.seed, by=config.split_by)
    if not fit:
        raise DataError(
            f"holding out {config.test_fraction:g} of the {config.split_by}s leaves no pair to train on "
            f"({len(data.pairs)} pairs). Lower --test-fraction, or give --test-data."
        )
    return TrainingPairs(fit, held_out, data.account)


def not_evaluated(pairs: Sequence[PreferencePair], config: TrainConfig) -> Finding:
    """Says that nothing was held out, and why: none asked for, or too few prompts for the share."""
    n_prompts = len({pair.prompt_id for pair in pairs})
    why = f"--test-fraction {config.test_fraction:g} of {n_prompts} prompts held out none"
    return Finding(
        code="RM101",
        title="Accuracy beyond content-blind baselines",
        verdict="not checked",
        action=f"{why}; give --test-data or a larger --test-fraction",
    )
