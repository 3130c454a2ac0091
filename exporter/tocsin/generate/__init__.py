"""Configuration -> plain data of the files that carry a grade to a person. Nothing here writes.

:mod:`.rules` puts the rule files together; each kind of alert has a module of its own (:mod:`.tier`, :mod:`.meta`, and
those in :mod:`.alerts`) that knows its rules and the promtool tests beside them. :mod:`.render` turns the data into
text.
"""
