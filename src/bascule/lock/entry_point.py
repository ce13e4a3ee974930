"""Which file of a tree is run, and how: the argument vector with placeholders, and without.

`{python}` and `{node}` stand for the locked interpreter, `{tree}` for the tree's folder. A
placeholder is a whole element, or `{tree}/` at the front of one. What the user gives as an
argument never begins with a placeholder, so that nothing is ever replaced in it.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from bascule.lock.model import Launch, LockError
from bascule.lock.runtime import FoundRuntime

PYTHON, NODE, TREE = "{python}", "{node}", "{tree}"
_PLACEHOLDERS = (PYTHON, NODE, TREE)

# -I: nothing of the environment, the user's folder or the current one; -S: nothing that is
# installed beside the interpreter; -B: no bytecode is written; -u: no reply waits in a
# buffer. Then the tree is what a virtual environment's folder is, `.pth` files included.
ISOLATED = (PYTHON, "-I", "-S", "-B", "-u")
_PROLOGUE = "import site, sys; site.setquit(); site.addsitedir(sys.argv[1]); "
CALL = (
    f"{_PROLOGUE}from importlib import import_module; from operator import attrgetter; "
    "_, _, module, path, *sys.argv = sys.argv; "
    "sys.exit(attrgetter(path)(import_module(module))())"
)
"""Calls what a console script would; arguments: tree, module, attribute, name of the
script, and those of the program."""
RUN_MODULE = (
    f"{_PROLOGUE}import runpy; module = sys.argv[2]; sys.argv[:3] = [module]; "
    "runpy.run_module(module, run_name='__main__', alter_sys=True)"
)
"""Does what `python -m` does; arguments: tree, module, and those of the program."""
RUN_FILE = (
    f"{_PROLOGUE}import runpy; path = sys.argv[2]; sys.argv[:3] = [path]; "
    "runpy.run_path(path, run_name='__main__')"
)
"""Does what `python FILE` does; arguments: tree, file, and those of the program."""


def refuse_placeholders(arguments: tuple[str, ...]) -> None:
    """Raise `LockError` for an argument of the user that begins as a placeholder does."""
    for argument in arguments:
        if argument.startswith(_PLACEHOLDERS):
            raise LockError(
                f"the argument `{argument}` begins with what stands for the locked "
                "program: write it otherwise"
            )


def in_tree(path: str) -> str:
    """Give the element that stands for a file of the tree.

    Raises `LockError` for a path that is not plainly inside.
    """
    parts = path.split("/")
    if not path or path.startswith("/") or {"", ".", ".."} & set(parts) or "\0" in path:
        raise LockError(f"`{path}` is no path inside of the tree")
    return f"{TREE}/{path}"


def executable_argv(launch: Launch, runtime: FoundRuntime, tree: Path) -> tuple[str, ...]:
    """Give what is executed: the locked vector with its placeholders filled in.

    Raises `LockError` when the program is neither the locked interpreter nor in the tree.
    """
    if not launch.argv:
        raise LockError("the lock does not say what to run: lock it anew")
    program, *rest = launch.argv
    interpreter = {"python": PYTHON, "node": NODE}.get(runtime.runtime.kind)
    if program != interpreter and not (
        interpreter is None and program.startswith(f"{TREE}/")
    ):
        raise LockError(f"`{program}` is neither the locked interpreter nor in the tree")
    filled = str(runtime.path) if program == interpreter else _filled(program, tree)
    return (filled, *(_filled(element, tree) for element in rest))


def _filled(element: str, tree: Path) -> str:
    if element == TREE:
        return str(tree)
    if element.startswith(f"{TREE}/"):
        inside = element.removeprefix(f"{TREE}/")
        in_tree(inside)
        return str(PurePosixPath(tree) / inside)
    return element
