"""What every powerful thing must ask."""
