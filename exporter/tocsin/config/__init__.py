"""YAML with line numbers -> frozen models, or every fault at once."""
