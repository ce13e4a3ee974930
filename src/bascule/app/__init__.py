"""Composition: files read, parts wired, processes started and stopped."""
