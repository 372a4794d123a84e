"""Built-in settings with known truth and planted faults; everything here works without torch."""

from __future__ import annotations

from karat.worlds.pool import pool_source
from karat.worlds.world import PlantedFault, World, load_default_world

__all__ = ["PlantedFault", "World", "load_default_world", "pool_source"]
