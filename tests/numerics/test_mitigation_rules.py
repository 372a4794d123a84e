"""Rules by name: what they fit, and that a score is a function of one response."""

from __future__ import annotations

import numpy as np
import pytest

from karat.errors import InputError
from karat.numerics.mitigation_rules import (
    FittedRule,
    RuleInputs,
    fit_rule,
    members_of,
    rule_scores,
    standardised,
)
from karat.numerics.mitigations import within_prompt_scale
from karat.numerics.rule_names import CENTRED, OF_SEVERAL, RULES, RuleSettings

PLACE = np.repeat(np.arange(20), 12)
BY_PROMPT = RuleSettings(centre="prompt")


def inputs(seed: int = 0, offset: float = 0.0) -> RuleInputs:
    """Three members; `offset` adds another function of the prompt to each."""
    rng = np.random.default_rng(seed)
    member = rng.standard_normal((PLACE.size, 3)) * [1.0, 10.0, 0.1] + [0.0, 5.0, -2.0]
    member = member + offset * np.stack([np.sin(PLACE), 10 * np.cos(PLACE), PLACE / 10], axis=1)
    return RuleInputs(
        member_RM=member,
        length_R=rng.integers(1, 200, PLACE.size).astype(float),
        place_R=PLACE,
        reference_PMK=member.reshape(20, 12, 3)[:, :4].swapaxes(1, 2),
        similarity_R=rng.random(PLACE.size),
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("settings", [RuleSettings(), BY_PROMPT])
def test_a_score_does_not_depend_on_what_is_scored_with_it(rule: str, settings: RuleSettings) -> None:
    whole = inputs()
    fitted = fit_rule(rule, whole, settings=settings)
    together = rule_scores(fitted, whole)
    assert np.isfinite(together).all()
    for some in (np.array([17]), np.array([200, 3, 17])):
        assert rule_scores(fitted, whole.take(some)) == pytest.approx(together[some], rel=1e-12)


@pytest.mark.parametrize("rule", CENTRED)
def test_centred_by_references_a_function_of_the_prompt_changes_nothing(rule: str) -> None:
    plain, moved = inputs(), inputs(offset=50.0)
    first = rule_scores(fit_rule(rule, plain, settings=BY_PROMPT), plain)
    again = rule_scores(fit_rule(rule, moved, settings=BY_PROMPT), moved)
    assert again == pytest.approx(first, abs=1e-9)
    pooled = [rule_scores(fit_rule(rule, each, settings=RuleSettings()), each) for each in (plain, moved)]
    assert np.corrcoef(*pooled)[0, 1] < 0.9  # the pool's mean leaves the prompt's own in


@pytest.mark.parametrize("rule", RULES)
def test_units_of_a_member_do_not_matter(rule: str) -> None:
    plain = inputs()
    unit = np.array([3.0, 0.2, 7.0])
    assert plain.reference_PMK is not None
    scaled = RuleInputs(
        member_RM=plain.member_RM * unit, length_R=plain.length_R, place_R=PLACE,
        reference_PMK=plain.reference_PMK * unit[:, None], similarity_R=plain.similarity_R,
    )  # fmt: skip
    first, again = (rule_scores(fit_rule(rule, each, settings=BY_PROMPT), each) for each in (plain, scaled))
    order = [np.argsort(score.reshape(20, 12), axis=1, kind="stable") for score in (first, again)]
    if rule != "clip":  # its ties are broken by rounding
        assert (order[0] == order[1]).all()
    assert np.corrcoef(first, again)[0, 1] > 1 - 1e-9


def test_members_come_to_one_scale() -> None:
    whole = inputs()
    found = standardised(fit_rule("mean", whole, settings=RuleSettings()), whole)
    assert [within_prompt_scale(column, PLACE) for column in found.T] == pytest.approx([1.0] * 3)
    assert found.mean(axis=0) == pytest.approx([0.0] * 3, abs=1e-12)


def test_what_is_fitted() -> None:
    whole = inputs()
    clip = fit_rule("clip", whole, settings=RuleSettings(clip_share=0.9))
    score = rule_scores(clip, whole)
    assert (score == clip.cap).mean() == pytest.approx(0.1, abs=0.01)
    assert np.unique(score[score < clip.cap]).size == (score < clip.cap).sum()
    mbr = fit_rule("mbr", whole, settings=RuleSettings(similarity_weight=2.0))
    assert whole.similarity_R is not None
    assert mbr.similarity_weight * within_prompt_scale(whole.similarity_R, PLACE) == pytest.approx(2.0)
    assert fit_rule("length-lowess", whole, settings=RuleSettings()).trend is not None
    assert fit_rule("proxy", whole, settings=BY_PROMPT).scale_M == (
        pytest.approx(whole.member_RM[:, 0].std(), rel=0.1),
    )
    assert rule_scores(fit_rule("proxy", whole, settings=BY_PROMPT), whole) == pytest.approx(whole.member_RM[:, 0])


def test_what_needs_references() -> None:
    def needs(rule: str, settings: RuleSettings) -> bool:
        return fit_rule(rule, inputs(), settings=settings).needs_references

    assert {rule for rule in RULES if needs(rule, RuleSettings())} == {"par", "mbr"}
    assert {rule for rule in RULES if needs(rule, BY_PROMPT)} == {"par", "mbr", *CENTRED}


def test_a_missing_member_makes_the_score_missing() -> None:
    whole = inputs()
    fitted = {rule: fit_rule(rule, whole, settings=RuleSettings()) for rule in RULES}
    whole.member_RM[5, 2] = np.nan
    for rule, each in fitted.items():
        assert np.isnan(rule_scores(each, whole)[5]) == (rule in OF_SEVERAL), rule
    whole.member_RM[5, 0] = np.nan
    assert all(np.isnan(rule_scores(each, whole)[5]) for each in fitted.values())


def test_wrong_use_is_named() -> None:
    with pytest.raises(InputError, match="no rule 'median'; there are: proxy, mean, worst"):
        members_of("median", 3)
    with pytest.raises(InputError, match="rule 'worst' needs two rewards or more"):
        members_of("worst", 1)
    assert members_of("clip", 3) == 1
    for options, message in (
        ({"temperature": 0.0}, "temperature = 0"),
        ({"clip_share": 1.0}, "clip_share = 1"),
        ({"similarity_weight": -1.0}, "similarity_weight = -1"),
        ({"centre": "row"}, "centre = 'row'"),
    ):
        with pytest.raises(InputError, match=message):
            RuleSettings(**options)  # type: ignore[arg-type]
    assert FittedRule(rule="proxy", centre="pool", centre_M=(0.0,), scale_M=(1.0,)).needs_references is False
