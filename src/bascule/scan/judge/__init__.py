"""Verdicts on a server that was identified: what it lets happen that it should not.

Each judge changes one thing of a request that had its answer, and finds something only
where the changed one has it too. What cannot be told is a gap, never a finding.
"""
