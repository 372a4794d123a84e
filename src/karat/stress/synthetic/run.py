"""`karat stress synthetic`: the experiment of Gao et al. 2022 (arXiv 2210.10760) and Coste et al. 2023 (2310.02743)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from karat.data.account import account_table
from karat.stress.synthetic.config import SyntheticConfig
from karat.stress.synthetic.findings import findings_of, lead_of
from karat.stress.synthetic.measure import measure
from karat.stress.synthetic.proxies import LinearHeads, Proxies, TrainedModels
from karat.stress.synthetic.setting import make_setting
from karat.stress.synthetic.tables import tables_of, values_of
from karat.types import Result
from karat.worlds import words

Progress = Callable[..., None]


def synthetic(
    pool: Any = None, *, config: SyntheticConfig | None = None, progress: Progress | None = None, **options: Any
) -> Result:
    """A gold labels pairs of a policy's responses, proxies learn from them, and best of n by each is compared.

    Args:
        pool: responses to many prompts, in any form that is read; None: the built-in words world, sampled anew.
        config: gold, sizes, noise, what learns; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
    Returns: findings ST601 to ST605; tables of the conditions, curves and contrasts; values with stable names.
    Raises: InputError, DataError, ModelError for input that cannot be used.
    """
    config = replace(config or SyntheticConfig(), **options)
    setting = make_setting(pool, config, progress)
    proxies: Proxies = TrainedModels(setting, config) if config.train else LinearHeads(setting, config, progress)
    found = measure(setting, config, proxies, progress)
    tables = tables_of(setting, found, config)
    account = setting.account
    return Result(
        command="stress synthetic",
        findings=findings_of(setting, found),
        tables=(*tables, account_table(account)) if account else tables,
        values=values_of(setting, found),
        provenance={
            **asdict(config),
            "gold": setting.gold,
            "model": words.POLICY.name if Path(setting.model) == words.POLICY else setting.model,
            "pool": setting.name,
            **({"fingerprint": account.fingerprint} if account else {}),
        },
        lead=lead_of(setting, found, config),
    )
