"""The rows on calibrations break when the calibration is broken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from karat.audit.reward import calibration
from karat.numerics.unbacked_pay import UnbackedPay
from karat.selftest.audit_calibration import calibration_rows


@pytest.mark.parametrize(("share", "broken"), [(1.0, {"SE524", "SE525"}), (0.0, {"SE521", "SE526"})])
def test_taking_all_or_nothing_is_caught(share: float, broken: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Uniform correction takes what labels want; none takes nothing."""

    def fixed(margin_P: np.ndarray, label_P: np.ndarray, payment_PK: np.ndarray, *_: Any, **__: Any) -> UnbackedPay:
        n_payments = payment_PK.shape[1]
        return UnbackedPay(np.full(n_payments, share), 1.0, 1.0, np.full(n_payments, np.inf))

    monkeypatch.setattr(calibration, "fit_unbacked_pay", fixed)
    rows = {row.code: row for row in calibration_rows(16, 3)}
    assert broken <= {code for code, row in rows.items() if not row.is_kept}
