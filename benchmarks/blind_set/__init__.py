"""The second set of known programs (see `blind_programs.py`), by what they want."""
