"""The demonstration: real servers with a backfilled history, a surge, and what Tocsin makes of it."""
