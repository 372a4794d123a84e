"""Which data is better: the same reward trained at equal size on each source and on mixtures, judged on common pairs.

The reward is, by default, a Bradley-Terry head on frozen hidden states: seconds each, alike for all, its ridge chosen
inside the training pairs. With `train` it is a whole reward model.

Axes: P pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from karat.audit.data import compare_findings
from karat.audit.data.compare_heads import HeadLearner, embedded
from karat.audit.data.compare_measure import Comparison, Contrast, HeldOut, Learner, Plan, contrasts_of, measure
from karat.audit.data.config import AuditDataConfig
from karat.audit.data.pair_groups import pair_groups
from karat.audit.data.table import read_table, whole_text
from karat.audit.data.training_sets import Mix, check_pool, common_size, ladder, mixes_of
from karat.audit.parts import Progress, attempt, names_of
from karat.data import split_pairs
from karat.data.account import account_table
from karat.errors import DataError, InputError
from karat.types import Account, PreferencePair, Result, Table

COMMAND = "audit data"
LEAST_TEST_PROMPTS = 4
"""With a decided pair, of a test set."""
DRAWS, DRAWS_TRAINED = 10, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is trained on and what is judged on.

    Attributes:
        names: of the sources; pools: their training pairs; tests: with their pairs.
        accounts: of the readings; n_missing: pairs left out because they have no hidden states.
    """

    names: tuple[str, ...]
    pools: tuple[tuple[PreferencePair, ...], ...]
    tests: tuple[tuple[HeldOut, tuple[PreferencePair, ...]], ...]
    accounts: tuple[Account, ...] = ()
    n_missing: int = 0

    @property
    def held_out(self) -> tuple[HeldOut, ...]:
        return tuple(test for test, _ in self.tests)


def compare_data(
    sources: Sequence[Any],
    *,
    out: Path | None,
    config: AuditDataConfig,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Result:
    """Which of several sources trains the better reward, what mixing and more pairs would bring.

    Args:
        sources: two or more, each anything that `read_pairs` takes.
        out: not used here; what is found is in the tables.
        config: sizes, draws, share held out, test files, backbones, whether to train in full.
        rng: of the seed that all draws follow from.
        progress: called as progress(stage, done, total, note).
    Returns: findings DA501 to DA505; "not checked" with the reason where the sources are too small to compare.
    Raises: InputError, DataError: a source cannot be read, or an option does not fit.
    """
    if len(sources) < 2:
        raise InputError(f"{len(sources)} source: comparing needs two or more.")
    _sizes(config.sizes)
    accounts, names, pairs = read_sources(sources, config, progress)
    files = names_of(config.test)
    file_accounts, file_names, file_pairs = read_sources(files, config, progress) if files else ((), (), ())
    seed = int(rng.integers(2**31))

    def part() -> Result:
        found = part_material(names, pairs, config, dict(zip(file_names, file_pairs, strict=True)))
        return _compared(replace(found, accounts=accounts), config, seed, progress)

    result = attempt(COMMAND, "DA501", compare_findings.EXPLANATIONS["DA501"][0], part)
    account_tables = tuple(map(account_table, (*accounts, *file_accounts)))
    return replace(result, tables=(*result.tables, *_distinct(account_tables)))


def _distinct(tables: Sequence[Table]) -> tuple[Table, ...]:
    """Accounts of several sources, each under a name of its own."""
    return tuple(
        replace(table, name=f"{table.name}_{number}" if number else table.name) for number, table in enumerate(tables)
    )


# ------------------------------------------------------------------------------------------------- what is compared
def read_sources(
    sources: Sequence[Any], config: AuditDataConfig, progress: Progress | None
) -> tuple[tuple[Account, ...], tuple[str, ...], tuple[tuple[PreferencePair, ...], ...]]:
    """Account, short name and a sample of whole prompts of each source."""
    accounts, samples = [], []
    for source in sources:
        table, sample = read_table(
            (source,), config.reading(), sample_pairs=max(config.embed_pairs, 1), seed=config.seed, progress=progress
        )
        accounts.append(table.accounts[0])
        samples.append(sample)
    return tuple(accounts), short_names([account.source for account in accounts]), tuple(samples)


def short_names(names: Sequence[str]) -> tuple[str, ...]:
    """File names without their folders where that tells them apart; a number where nothing does."""
    short = [Path(name).name.split(".")[0] or name for name in names]
    if len(set(short)) < len(short):
        short = [Path(name).name or name for name in names]
    if len(set(short)) < len(short):
        short = list(names)
    return tuple(
        name if short.count(name) == 1 else f"{name} #{short[: number + 1].count(name)}"
        for number, name in enumerate(short)
    )


def part_material(
    names: Sequence[str],
    sources: Sequence[tuple[PreferencePair, ...]],
    config: AuditDataConfig,
    files: Mapping[str, tuple[PreferencePair, ...]],
) -> Material:
    """Training pools, and test sets without a prompt that any pool has, or a near duplicate of a pair in one.

    Sources are ranked on the test files where there are any, else on the mean over all held-out shares, so that each is
    at home once.
    Raises: DataError: a pool or a test set is too small.
    """
    sources = [_grouped(pairs, near=config.near) for pairs in sources]
    files = {name: _grouped(pairs, near=config.near) for name, pairs in files.items()}
    parted = [split_pairs(pairs, test_fraction=config.held_out, seed=config.seed) for pairs in sources]
    pools = tuple(fit for fit, _ in parted)
    _check_pools(names, pools)
    tests = [
        (f"{name} (held out)", held, number, not files)
        for number, (name, (_, held)) in enumerate(zip(names, parted, strict=True))
    ]
    tests += [(name, pairs, -1, True) for name, pairs in files.items()]
    is_known = iter(_known(pools, [pairs for _, pairs, _, _ in tests], near=config.near))
    parts = [
        _test_of(name, pairs, [next(is_known) for _ in pairs], home=home, counts=counts)
        for name, pairs, home, counts in tests
    ]
    usable = []
    for test, pairs in parts:
        n_prompts = len(np.unique(test.prompt_N[test.label_N != 0.5]))
        if n_prompts >= LEAST_TEST_PROMPTS:
            usable.append((test, pairs))
        elif test.counts:
            raise DataError(
                f"{test.name}: {n_prompts} prompts to judge on ({test.n_removed} pairs left out because a training "
                f"source has their prompt or a near copy); comparing needs {LEAST_TEST_PROMPTS}. Give more prompts, "
                "raise --held-out, or name test files with --test."
            )
    return Material(names=tuple(names), pools=pools, tests=tuple(usable))


def _grouped(pairs: Sequence[PreferencePair], *, near: float) -> tuple[PreferencePair, ...]:
    """The pairs, near copies of one another under one prompt_id: they are drawn, and count, as one prompt's."""
    names = pair_groups(pairs, near=near).tolist()
    return tuple(replace(pair, prompt_id=name) for pair, name in zip(pairs, names, strict=True))


def _check_pools(names: Sequence[str], pools: Sequence[tuple[PreferencePair, ...]]) -> None:
    for name, pool in zip(names, pools, strict=True):
        check_pool(name, np.array([pair.prompt_id for pair in pool], dtype=str))


def prompt_key(pair: PreferencePair) -> str:
    """Prompts that differ in case and white space only are one; without a text, the id."""
    text = " ".join(whole_text(pair.prompt).casefold().split())
    return f"text {text}" if text else f"id {pair.prompt_id}"


def _known(
    pools: Sequence[Sequence[PreferencePair]], tests: Sequence[Sequence[PreferencePair]], *, near: float
) -> list[bool]:
    """Whether a pool has the prompt of each test pair, or a near duplicate of the pair."""
    trained, judged = ([pair for part in parts for pair in part] for parts in (pools, tests))
    known = {prompt_key(pair) for pair in trained}
    # Ids of their own, so that only near duplicates connect: files number their prompts each for itself.
    numbered = [replace(pair, prompt_id=str(number)) for number, pair in enumerate((*trained, *judged))]
    group = pair_groups(numbered, near=near)
    is_near = np.isin(group[len(trained) :], group[: len(trained)])
    return [prompt_key(pair) in known or bool(is_copy) for pair, is_copy in zip(judged, is_near, strict=True)]


def _test_of(
    name: str, pairs: Sequence[PreferencePair], is_known: Sequence[bool], *, home: int, counts: bool
) -> tuple[HeldOut, tuple[PreferencePair, ...]]:
    kept = tuple(pair for pair, is_out in zip(pairs, is_known, strict=True) if not is_out)
    return _held_out(name, kept, home=home, counts=counts, n_removed=len(pairs) - len(kept)), kept


def prompt_names(pairs: Sequence[PreferencePair]) -> np.ndarray:
    """Prompt of each pair, under one name in all sources: those of one id, and those of one text, are one."""
    of_id: dict[str, str] = {}
    for pair in pairs:
        if pair.prompt_id not in of_id:
            key = prompt_key(pair).encode(errors="surrogatepass")
            of_id[pair.prompt_id] = hashlib.blake2b(key, digest_size=8).hexdigest()
    return np.array([of_id[pair.prompt_id] for pair in pairs], dtype=str)


def _held_out(name: str, pairs: Sequence[PreferencePair], *, home: int, counts: bool, n_removed: int) -> HeldOut:
    return HeldOut(
        name=name,
        home=home,
        label_N=np.array([pair.label for pair in pairs], np.float64),
        prompt_N=prompt_names(pairs),
        counts=counts,
        n_removed=n_removed,
    )


# ------------------------------------------------------------------------------------------------------- the comparison
def _compared(material: Material, config: AuditDataConfig, seed: int, progress: Progress | None) -> Result:
    models = names_of(config.backbones) or (config.model,)
    learners: dict[str, Learner] = {}
    if config.train:
        learners = _training_learners(material, models, config, progress)
    else:
        material, vectors = embedded(material, models, progress)
        _check_pools(material.names, material.pools)
        learners = {model: HeadLearner(*vectors[model]) for model in models}
    plan = make_plan(material, config, seed)
    without_curve = replace(plan, ladders=((),) * len(plan.names))
    found = {
        model: measure(plan if model == models[0] else without_curve, material.held_out, learner, progress)
        for model, learner in learners.items()
    }
    grid = data_against_size(found, plan.names)
    return compare_findings.result_of(plan, material.n_missing, found, grid, is_trained=config.train)


def _training_learners(
    material: Material, models: Sequence[str], config: AuditDataConfig, progress: Progress | None
) -> dict[str, Learner]:
    """One for each backbone; says beforehand how long all will take, from a batch that is timed."""
    from karat.audit.data.compare_train import TrainingLearner

    tests = [pairs for _, pairs in material.tests]
    learners = {model: TrainingLearner(material.pools, tests, model, config) for model in models}
    plan = make_plan(material, config, 0)
    mixes = len(mixes_of(material.names))
    work = [plan.size] * mixes + [size for sizes in plan.ladders for size in sizes if size != plan.size]
    seconds = 0.0
    for number, learner in enumerate(learners.values()):
        sizes = work if number == 0 else [plan.size] * mixes
        seconds += plan.n_draws * sum(learner.seconds_each(size) for size in sizes[:1]) * len(sizes)
    if progress:
        progress("training rewards", 0, plan.n_draws * len(work), f"about {seconds / 60:.0f} minutes in all")
    return dict(learners)


def make_plan(material: Material, config: AuditDataConfig, seed: int) -> Plan:
    """Sizes and draws. With whole models the learning curve is left out unless sizes are named: it multiplies the cost.

    Raises: InputError: --sizes that are no numbers, or too large for a source.
    """
    n_pairs = [len(pool) for pool in material.pools]
    asked = _sizes(config.sizes)
    with_curve = bool(asked) or not config.train
    ladders = tuple(ladder(n, asked) if with_curve else () for n in n_pairs)
    return Plan(
        names=material.names,
        prompts=tuple(np.array([pair.prompt_id for pair in pool], dtype=str) for pool in material.pools),
        size=asked[-1] if asked else common_size(n_pairs),
        ladders=ladders,
        n_draws=config.draws or (DRAWS_TRAINED if config.train else DRAWS),
        seed=seed,
        resamples=config.resamples,
    )


def _sizes(text: str) -> tuple[int, ...]:
    sizes = []
    for entry in names_of(text):
        if not entry.isdecimal():
            raise InputError(f"sizes: {entry!r} is no number of pairs. Give whole numbers, comma-separated.")
        sizes.append(int(entry))
    return tuple(sorted(set(sizes)))


def data_against_size(found: Mapping[str, Comparison], names: Sequence[str]) -> tuple[Contrast, ...]:
    """One source on a smaller (earlier named) backbone less another on a larger: all such couples, one family."""
    models = list(found)
    couples = []
    for place, small in enumerate(models):
        for large in models[place + 1 :]:
            for left in names:
                for right in names:
                    if left != right:
                        couples.append(
                            (
                                _labelled(found[small], left, f"{left} on {small}"),
                                _labelled(found[large], right, f"{right} on {large}"),
                            )
                        )
    return contrasts_of(couples, found[models[0]].tests) if couples else ()


def _labelled(found: Comparison, name: str, label: str) -> Any:
    trained = found.trained[name]
    return replace(trained, mix=Mix(label, trained.mix.parts))
