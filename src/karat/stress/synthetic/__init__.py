"""`karat stress synthetic`: a gold reward labels data, proxies learn from it, and optimising them is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karat.stress.synthetic.config import SyntheticConfig
from karat.verbs import make_verb

if TYPE_CHECKING:
    from karat.stress.synthetic.run import synthetic

__all__ = ["SyntheticConfig", "synthetic"]

make_verb(__name__, "synthetic", {"synthetic": "run"})
