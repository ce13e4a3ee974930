"""Posture: which controls of the five promises are met, each by a probe that looked.

A control that no probe looked at is `not_assessed`, and never met: nobody is told that
something is well because nothing was asked.
"""
