"""What the tests of the fold share: settings, noise, and driving a matrix of samples through it."""

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import hypothesis
import numpy as np
from numpy.typing import NDArray

from tocsin.core.fold import Runs, State, grade, learn, track
from tocsin.core.grades import Grades
from tocsin.core.held import Held
from tocsin.core.settings import Settings

STEP = 60
#: The same few examples in every run: a fold of many steps is too long to be shrunk or searched at leisure.
quick = hypothesis.settings(
    deadline=None,
    max_examples=6,
    derandomize=True,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
Floats = NDArray[np.float64]


def signal(**changes: Any) -> Settings:
    """Settings with a window of 60 steps of a minute, and what a test wants otherwise."""
    return Settings(**{"interval": STEP, "step": STEP, **changes})


def noise(seed: int, length: int, level: float = 100.0, sigma: float = 1.0) -> Floats:
    """Normal noise around a level, shape (length,)."""
    return np.random.default_rng(seed).normal(level, sigma, length)


def column(values: Any) -> Floats:
    """One resource as a matrix of samples."""
    return np.asarray(values, dtype=np.float64).reshape(-1, 1)


@dataclass
class Driven:
    """A fold with all its grades kept."""

    settings: Settings
    state: State
    runs: Runs
    grades: list[Grades]
    t: int = 0

    def feed(self, values: Any, *, excluded: bool = False, factors: Floats | None = None) -> Grades:
        """Grade and learn one row of samples at the next grid time, and keep the grade."""
        x = np.atleast_1d(np.asarray(values, dtype=np.float64))
        t = float(self.t)
        if factors is not None and (changed := np.flatnonzero(factors != 1)).size:
            self.state.rescale(changed, factors[changed])
        grades = grade(self.state, x, t, self.settings)
        self.runs = track(self.runs, grades, t)
        self.state = learn(self.state, np.full_like(x, np.nan) if excluded else x, t, grades, self.settings)
        self.grades.append(grades)
        self.t += self.settings.step
        return grades

    def run(self, values: Floats) -> "Driven":
        """Feed a matrix (T, C)."""
        for row in values:
            self.feed(row)
        return self

    def of(self, name: str, resource: int = 0) -> NDArray[Any]:
        """A field of all grades of one resource, by time."""
        return np.array([getattr(g, name)[resource] for g in self.grades])


def drive(settings: Settings, columns: int = 1, start: int = 0) -> Driven:
    """An empty fold whose first grid time is `start`."""
    return Driven(settings, State.empty(settings, columns), Runs.empty(columns), [], start)


def held(part: Held) -> Floats:
    """What is held of each resource, (length, C), 0 beyond its run: which row of the table has it tells nothing."""
    out = np.zeros((part.length, part.run.size))
    for column in np.flatnonzero(part.run):
        out[: part.run[column], column] = part.table.values[part.row[column], : part.run[column]]
    return out


def arrays(part: Any, path: str = "") -> dict[str, Any]:
    """All arrays and numbers inside dataclasses, by path."""
    if isinstance(part, Held):
        return {f"{path}.run": part.run, f"{path}.held": held(part)}
    if is_dataclass(part):
        found: dict[str, Any] = {}
        for field in fields(part):
            found |= arrays(getattr(part, field.name), f"{path}.{field.name}")
        return found
    return {path: part}


def assert_same(
    one: Any, two: Any, columns: Any = slice(None), of_two: Any = slice(None), but: tuple[str, ...] = ()
) -> None:
    """Equal to the last bit, array by array, in the given columns of each, `but` for the named ones."""
    left, right = (
        {name: value for name, value in arrays(part).items() if not name.startswith(but)} for part in (one, two)
    )
    assert left.keys() == right.keys()
    for name, value in left.items():
        if isinstance(value, np.ndarray):
            equal = np.array_equal(value[..., columns], right[name][..., of_two], equal_nan=value.dtype.kind == "f")
            assert equal, name
        elif not callable(value):
            assert value == right[name], name
