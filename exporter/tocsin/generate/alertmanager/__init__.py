"""Configuration -> the routes, receivers, inhibitions and time intervals of Alertmanager, as plain data.

:mod:`.site` is what the others read from the configuration, :mod:`.audience` says whom a receiver's name stands for,
:mod:`.routes` is the tree, :mod:`.table` what the tree has to do, and :mod:`.build` puts a whole file together, or the
part of one that goes into somebody's own.
"""
