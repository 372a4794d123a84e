"""`karat score`: a reward over pairs or a pool; the same rows out, with score columns and a reason for each missing one.

Rows are read, scored and written in chunks, so memory does not grow with the file; each chunk is one finished part file,
so a killed run resumes at the first chunk that is not there.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from karat.data import PairStream, PoolStream, stream_rows, write_rows
from karat.errors import DataError, InputError, ResourceError
from karat.rewards import Group, Reward, load_reward
from karat.score.config import ScoreConfig
from karat.types import Account, Finding, PreferencePair, Result, Score, Table, Text
