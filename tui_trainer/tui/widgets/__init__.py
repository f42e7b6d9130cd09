"""Widgets that take plain numbers and strings."""
