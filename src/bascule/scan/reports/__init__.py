"""Reports of a scan, one module for each format.

Names, targets and evidence are what others wrote. Each format writes them so that neither a
terminal nor a browser nor a reader of the format obeys them.
"""
