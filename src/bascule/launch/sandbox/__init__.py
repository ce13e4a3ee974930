"""What a stdio server can touch: a box of namespaces, system call filter and limits."""
