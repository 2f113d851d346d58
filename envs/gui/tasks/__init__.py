"""Tasks, generated from a seed: small pages, one app, several apps."""
