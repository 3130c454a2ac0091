"""What is wrong with a set of rules, as far as their text tells: our own check beside promtool's."""
