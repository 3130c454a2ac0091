"""What Tocsin does with alerts that Alertmanager sends it."""
