"""How often one of two is preferred: the share, its Wilson interval, and the exact binomial test against a coin."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from talkmesh.intervals import LEVEL


@dataclass(frozen=True)
class Share:
    """preferred : answers for the study's method; answers : all of them."""

    preferred: int
    answers: int

    def __post_init__(self) -> None:
        if not 0 <= self.preferred <= self.answers:
            raise ValueError(f"{self.preferred} of {self.answers} is no share")

    def __add__(self, other: Share) -> Share:
        return Share(self.preferred + other.preferred, self.answers + other.answers)

    @property
    def value(self) -> float:
        """The share, 0 to 1; NaN without answers."""
        return self.preferred / self.answers if self.answers else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's (1927) 95 % interval of the share; NaN without answers."""
        n = self.answers
        if not n:
            return math.nan, math.nan
        z = float(stats.norm.ppf((1 + LEVEL) / 2))
        middle = (self.preferred + z * z / 2) / (n + z * z)
        half = z / (n + z * z) * math.sqrt(self.preferred * (n - self.preferred) / n + z * z / 4)
        # the ends that are exactly 0 and 1 are missed by rounding
        return middle - half if self.preferred else 0.0, middle + half if self.preferred < n else 1.0

    @property
    def p(self) -> float:
        """p of the exact two-sided binomial test against one half; NaN without answers."""
        return float(stats.binomtest(self.preferred, self.answers, 0.5).pvalue) if self.answers else math.nan
