"""Source: Prometheus HTTP API in, columns of samples out."""
