"""HTTP: the exposition, the endpoints of every exporter, the landing page and the webhook."""
