"""A second set of known programs, for the generalisation of the evidence: written by whoever wrote the catalogue, and
graded before anybody who wrote the defences had seen them. Once a defence has been improved on one of them, the set is
part of the catalogue, and another is needed.
"""

from __future__ import annotations

from blind_set import forging, honest, reaching
from karat.worlds.cheats.program import KnownProgram

PROGRAMS: tuple[KnownProgram, ...] = (*forging.PROGRAMS, *reaching.PROGRAMS, *honest.PROGRAMS)
