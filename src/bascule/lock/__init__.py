"""The supply-chain lock: which bytes and definitions of a connector somebody approved.

Resolve, install, hash, capture, compare, approve. It could stand as a library of its own.
"""
