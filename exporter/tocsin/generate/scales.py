"""Scales of the severity label, for the rules; the configuration's checks need them too, so they are there."""

from tocsin.config.scales import SCALES, Words

__all__ = ["SCALES", "Words"]
