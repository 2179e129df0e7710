"""Keeps Python virtual environments in Docker volumes."""

__version__ = "0.1.0"
