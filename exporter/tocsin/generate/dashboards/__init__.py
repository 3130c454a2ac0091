"""Configuration -> Grafana dashboards as plain data: the classic JSON model, schema 42. Nothing here writes.

:mod:`.files` puts the files together. A dashboard is sections of lines of panels: :mod:`.grid` gives each panel its
place, :mod:`.panel` has one function per kind of panel, :mod:`.look` units and colours, :mod:`.query` the PromQL that
all share, :mod:`.frame` what surrounds the panels. One module for each dashboard.
"""
