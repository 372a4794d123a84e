"""Proxies that learn from labelled pairs: linear heads on the hidden states of a backbone, or whole reward models.

Axes: P prompts of the curves, G responses to each, M members, D hidden size, Q pairs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from karat.errors import DataError
from karat.rewards import Group, Reward, load_reward
from karat.stress.synthetic.config import SyntheticConfig
from karat.stress.synthetic.labels import Pairs
from karat.stress.synthetic.setting import Prompt, Setting
from karat.types import PreferencePair

Progress = Callable[..., None]
MAX_LENGTH = 2048
"""Tokens."""


class Proxies(Protocol):
    """What learns."""

    def learn(
        self, labels: Sequence[Pairs], rng: np.random.Generator, *, is_shared: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the curves' responses by a single proxy, (P, G), and by each member of an ensemble, (M, P, G).

        Args:
            labels: the labelled pairs of each member; the single proxy has the first.
            rng: source of what makes members differ.
            is_shared: all members have the same pairs.
        """


# --------------------------------------------------------------------------------------------------------- linear heads
class LinearHeads:
    """Bradley-Terry heads on hidden states, a fraction of a second each.

    Members with the same labels each learn from a bootstrap sample of them, since a convex fit has no other chance in
    it; the single proxy learns from the labels as they are.
    """

    def __init__(self, setting: Setting, config: SyntheticConfig, progress: Progress | None = None) -> None:
        states = hidden_states([*setting.pairs, *setting.curves], setting.model, progress)
        n_pairs = len(setting.pairs)
        rows = np.concatenate(states[:n_pairs])
        centre_D, scale_D = rows.mean(axis=0), rows.std(axis=0)
        scale_D = np.where(scale_D > 0, scale_D, 1.0)
        self.pair_states = [(state - centre_D) / scale_D for state in states[:n_pairs]]
        self.curve_PGD = (np.stack(states[n_pairs:]) - centre_D) / scale_D
        self.ridge = config.ridge

    def learn(
        self, labels: Sequence[Pairs], rng: np.random.Generator, *, is_shared: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        size = len(labels[0])
        data = [pairs.take(rng.integers(0, size, size)) if is_shared else pairs for pairs in labels]
        weight_KD = np.stack([fit_head(self._difference(pairs), ridge=self.ridge) for pairs in (labels[0], *data)])
        score_KPG = np.moveaxis(self.curve_PGD @ weight_KD.T, -1, 0)
        return score_KPG[0], score_KPG[1:]

    def _difference(self, pairs: Pairs) -> np.ndarray:
        return np.stack(
            [
                self.pair_states[prompt][better] - self.pair_states[prompt][worse]
                for prompt, better, worse in zip(pairs.prompt_Q, pairs.better_Q, pairs.worse_Q, strict=True)
            ]
        )


def fit_head(difference_QD: np.ndarray, *, ridge: float) -> np.ndarray:
    """The w of least sum softplus(-w x) + ridge |w|^2 / 2 over differences x = state(better) - state(worse), (D,).

    Strictly convex with ridge > 0: one answer, whatever the start.
    """

    def loss(weight_D: np.ndarray) -> tuple[float, np.ndarray]:
        margin_Q = difference_QD @ weight_D
        slope_D = ridge * weight_D - expit(-margin_Q) @ difference_QD
        return float(0.5 * ridge * weight_D @ weight_D - log_expit(margin_Q).sum()), slope_D

    start_D = np.zeros(difference_QD.shape[1])
    found = minimize(loss, start_D, jac=True, method="L-BFGS-B", options={"maxiter": 1000, "gtol": 1e-6})
    return np.asarray(found.x)


def hidden_states(prompts: Sequence[Prompt], model: str, progress: Progress | None = None) -> list[np.ndarray]:
    """Hidden state of each response's last token, one (responses, D) array per prompt; equal responses once.

    Raises: DataError: a response that cannot be encoded; ModelError: a backbone that cannot be used.
    """
    import torch

    from karat.rewards.model import load_reward_for_training, replace_head, resolve_model

    reward = load_reward_for_training(
        resolve_model(model), n_heads=1, max_length=MAX_LENGTH, dtype=torch.float32, seed=0
    )
    width = reward.net.head.in_features
    replace_head(reward.net, torch.eye(width), torch.full((width,), 1 / width))  # rewards are then the states
    reward.net.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    found = []
    for number, prompt in enumerate(prompts):
        if progress:
            progress("reading hidden states", number, len(prompts), "prompts")
        at = {response: place for place, response in enumerate(dict.fromkeys(prompt.responses))}
        encoded = reward.encoder.encode_many([Group(prompt.text, tuple(at))])
        state_BD = reward.score_encoded(encoded)[0]
        if not np.isfinite(state_BD).all():
            raise DataError(f"prompt {prompt.prompt_id}: {model} gives hidden states that are not finite.")
        found.append(state_BD[[at[response] for response in prompt.responses]])
    return found


# -------------------------------------------------------------------------------------------------- whole reward models
class TrainedModels:
    """Reward models by `karat train`. Members with the same labels differ by the seed of the head and of the order, as
    in Coste et al.; the single proxy is the first member."""

    def __init__(self, setting: Setting, config: SyntheticConfig) -> None:
        self.setting, self.config = setting, config

    def learn(
        self, labels: Sequence[Pairs], rng: np.random.Generator, *, is_shared: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        score_MPG = np.stack([self._train(pairs, int(rng.integers(2**31))) for pairs in labels])
        return score_MPG[0], score_MPG

    def _train(self, pairs: Pairs, seed: int) -> np.ndarray:
        from karat.train import train

        config = self.config
        with tempfile.TemporaryDirectory() as scratch:
            train(
                self._as_data(pairs),
                out=Path(scratch) / "proxy",
                model=self.setting.model,
                test_fraction=0.0,
                epochs=config.epochs,
                lr=config.lr,
                freeze_below=config.freeze_below,
                seed=seed,
            )
            return scores_of(load_reward(str(Path(scratch) / "proxy")), self.setting.curves)

    def _as_data(self, pairs: Pairs) -> list[PreferencePair]:
        found = []
        for row, (number, better, worse) in enumerate(zip(pairs.prompt_Q, pairs.better_Q, pairs.worse_Q, strict=True)):
            prompt = self.setting.pairs[number]
            found.append(
                PreferencePair(
                    prompt.text, prompt.responses[better], prompt.responses[worse], prompt_id=prompt.prompt_id, row=row
                )
            )
        return found


def scores_of(reward: Reward, prompts: Sequence[Prompt]) -> np.ndarray:
    """Scores of all responses, (P, G). Raises: DataError: one is missing."""
    rows = []
    for prompt in prompts:
        at = {response: place for place, response in enumerate(dict.fromkeys(prompt.responses))}
        scores = reward.score([Group(prompt.text, tuple(at))])[0]
        missing = next((score.missing for score in scores if score.is_missing), "")
        if missing:
            raise DataError(f"prompt {prompt.prompt_id}: the trained reward gives no score ({missing}).")
        value = np.array([score.value for score in scores])
        rows.append(value[[at[response] for response in prompt.responses]])
    return np.stack(rows)
