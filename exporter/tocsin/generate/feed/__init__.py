"""Series that give an expression a wanted value: what the tests of a rule are fed with.

:mod:`.solve` works from the value down to the selectors, :mod:`.steady` from the series up to the value. What the first
one finds counts only where the second one agrees, so that no test is written that could not pass; an expression that
either of them does not know raises :class:`.values.Unsolved`.
"""
