"""The tamper-evident log: records, Merkle tree, tiles, checkpoints, proofs, verifier.

Formats are RFC 6962 and C2SP (signed-note, tlog-checkpoint, tlog-tiles, tlog-proof). Knows
files only; the SQL behind its ports lives in `bascule.storage`.
"""
