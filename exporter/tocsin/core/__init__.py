"""Numbers in, decisions out: the fold of grade, track and learn over samples. No I/O, clock, log, YAML or asyncio."""
