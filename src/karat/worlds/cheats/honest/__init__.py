"""Honest programs that use the same means for a good reason, in files named as those of the cheats."""
