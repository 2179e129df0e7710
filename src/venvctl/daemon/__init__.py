"""The daemon: follows every registered environment; the only room that knows of threads."""
