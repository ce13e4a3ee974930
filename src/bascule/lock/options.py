"""Options of launchers, known exactly: flags, options with a value, refused ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bascule.lock.model import LockError

_INDEX = (
    "which registry packages come from is set for the resolver (`UV_DEFAULT_INDEX`, "
    "`.npmrc`), one for all, and not in the command"
)
_INTERPRETER = "leave it out: the lock records the interpreter that runs the connector"
_BUILD = "packages are installed as published and never built: leave it out"


@dataclass(frozen=True, slots=True)
class Options:
    """What one launcher understands before the package."""

    flags: Mapping[str, str]
    """Without a value, by each spelling; the value is the option's name, empty for those
    that change nothing about what is run."""
    valued: Mapping[str, str]
    """With a value, by each spelling."""
    refused: Mapping[str, str]
    """By spelling: what to do instead."""
    clusters: bool = False
    """Short options can stand together (`-it`), the last with its value (`-eA=1`)."""


@dataclass(frozen=True, slots=True)
class Read:
    """What stood before and behind the first word that is no option."""

    first: str
    after: tuple[str, ...]
    found: tuple[tuple[str, str], ...]
    """Name and value of each option, in order; flags have an empty value."""
    ended: bool
    """Whether `--` stood before `first`."""
    launcher: str

    def all(self, name: str) -> tuple[str, ...]:
        """Give the values of an option."""
        return tuple(value for each, value in self.found if each == name)

    def one(self, name: str) -> str | None:
        """Give the value of an option that can stand once; None without it."""
        values = self.all(name)
        if len(values) > 1:
            raise LockError(f"`{self.launcher}`: `{name}` stands more than once")
        return values[0] if values else None


def read(
    words: Sequence[str],
    known: Options,
    launcher: str,
    *,
    stop_at: Sequence[str] = (),
) -> Read:
    """Split a launcher's options from what it starts.

    An option in `stop_at` ends the options, as `-m` of Python does; its value stands in
    `found` and `first` is empty. Raises `LockError` for an option that is not known.
    """
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            return _rest(words, at + 1, found, launcher, ended=True)
        if not word.startswith("-") or word == "-":
            return _rest(words, at, found, launcher, ended=False)
        for name, value, taken in _option(word, words[at + 1 : at + 2], known, launcher):
            found.append((name, value))
            at += taken
            if name in stop_at:
                return Read("", tuple(words[at + 1 :]), tuple(found), False, launcher)
        at += 1
    raise LockError(f"`{launcher}` names nothing to run")


def _rest(
    words: Sequence[str],
    at: int,
    found: list[tuple[str, str]],
    launcher: str,
    *,
    ended: bool,
) -> Read:
    if at >= len(words) or not words[at]:
        raise LockError(f"`{launcher}` names nothing to run")
    return Read(words[at], tuple(words[at + 1 :]), tuple(found), ended, launcher)


def _option(
    word: str, following: Sequence[str], known: Options, launcher: str
) -> list[tuple[str, str, int]]:
    """Give name, value and number of further words of each option that `word` holds."""
    spelling, equals, value = word.partition("=")
    if spelling in known.refused:
        raise LockError(f"`{launcher} {spelling}`: {known.refused[spelling]}")
    if spelling in known.flags:
        if equals:
            raise LockError(f"`{launcher} {spelling}` is written without a value")
        return [(known.flags[spelling], "", 0)]
    if spelling in known.valued:
        name = known.valued[spelling]
        if equals:
            return [(name, value, 0)]
        if not following:
            raise LockError(f"`{launcher} {spelling}` lacks its value")
        return [(name, following[0], 1)]
    if known.clusters and not word.startswith("--"):
        return _cluster(word, following, known, launcher)
    raise LockError(
        f"`{launcher}` with `{spelling}` is not understood, so nobody can tell what it "
        "would run: leave the option out"
    )


def _cluster(
    word: str, following: Sequence[str], known: Options, launcher: str
) -> list[tuple[str, str, int]]:
    """Read short options that stand in one word."""
    found = []
    for at, letter in enumerate(word[1:], start=1):
        spelling = f"-{letter}"
        if spelling in known.flags:
            found.append((known.flags[spelling], "", 0))
            continue
        if spelling not in known.valued:
            raise LockError(
                f"`{launcher}` with `{spelling}` is not understood: leave the option out"
            )
        value = word[at + 1 :].removeprefix("=")
        if value:
            return [*found, (known.valued[spelling], value, 0)]
        return [*found, *_option(spelling, following, known, launcher)]
    return found


def _same(*spellings: str) -> dict[str, str]:
    """Give each spelling the name of its own, without the hyphens."""
    return {spelling: spelling.lstrip("-") for spelling in spellings}


def _idle(*spellings: str) -> dict[str, str]:
    return dict.fromkeys(spellings, "")


def _reason(reason: str, *spellings: str) -> dict[str, str]:
    return dict.fromkeys(spellings, reason)


_UV_BUILD = (
    *("--no-binary", "--no-binary-package", "--no-build-isolation"),
    *("--no-build-isolation-package", "--build-constraints", "-b", "--config-setting"),
    *("-C", "--config-settings-package"),
)
_UV_INDEX = (
    *("--index", "--default-index", "-i", "--index-url", "--extra-index-url", "-f"),
    *("--find-links", "--no-index", "--index-strategy", "--keyring-provider"),
    "--allow-insecure-host",
)
_UV_PYTHON = (
    *("-p", "--python", "--python-platform", "--managed-python", "--no-managed-python"),
)
UVX = Options(
    flags=_idle(
        *("--isolated", "-q", "--quiet", "-v", "--verbose", "--no-progress", "--offline"),
        *("--refresh", "-n", "--no-cache", "--no-env-file", "--no-python-downloads"),
        *("--system-certs", "--native-tls", "--compile-bytecode", "--no-build"),
        *("--reinstall", "--no-config"),
    ),
    valued={
        **_same("--from", "--with"),
        "-w": "with",
        "--color": "",
        "--link-mode": "",
        "--cache-dir": "",
    },
    refused={
        **_reason(_INDEX, *_UV_INDEX),
        **_reason(_INTERPRETER, *_UV_PYTHON),
        **_reason(_BUILD, *_UV_BUILD),
        **_reason("name a published package instead", "--with-editable"),
        **_reason("name each package with `--with`", "--with-requirements"),
        **_reason("use `--cooldown` of Bascule", "--exclude-newer"),
        **_reason("name the version itself: `PKG==VERSION`", "--prerelease"),
        **_reason("put variables into the connector's `env`", "--env-file"),
    },
)
PIPX = Options(
    flags=_idle("-q", "--quiet", "-v", "--verbose", "--no-cache"),
    valued=_same("--spec", "--with"),
    refused={
        **_reason(_INDEX, "-i", "--index-url", "--pip-args"),
        **_reason(_INTERPRETER, "--python", "--fetch-missing-python"),
        **_reason(_INTERPRETER, "--system-site-packages"),
        **_reason("name a published package instead", "--path", "--pypackages"),
        **_reason("name a published package instead", "-e", "--editable"),
    },
)
PYTHON = Options(
    flags=_idle("-u", "-B", "-I", "-E", "-s", "-P", "-q"),
    valued={"-m": "m"},
    refused={
        **_reason("put the code into a file, and name that", "-c"),
        **_reason("leave it out: a connector's interpreter has fixed options", "-O", "-X"),
    },
    clusters=True,
)
NODE = Options(
    flags={},
    valued={},
    refused=_reason(
        "put the code into a file, and name that", "-e", "--eval", "-p", "--print"
    ),
)
NPX = Options(
    flags=_idle(
        *("-y", "--yes", "-q", "--quiet", "-s", "--silent", "--no-install", "--no"),
        *("--prefer-offline", "--prefer-online", "--offline", "--ignore-scripts"),
    ),
    valued={"-p": "package", "--package": "package"},
    refused={
        **_reason(_INDEX, "--registry", "--userconfig", "--globalconfig"),
        **_reason("what a shell starts cannot be locked", "-c", "--call"),
        **_reason("a connector has packages of its own", "-w", "--workspace", "--prefix"),
    },
)
DOCKER = Options(
    flags={
        **_idle("-i", "--interactive", "--rm", "--init", "-t", "--tty", "-q", "--quiet"),
        **_idle("--read-only", "--sig-proxy", "--no-healthcheck"),
        **_same("--privileged", "--publish-all", "--oom-kill-disable", "--use-api-socket"),
        "-P": "publish-all",
    },
    valued={
        **_same(
            *("--entrypoint", "--volume", "--mount", "--volumes-from", "--network"),
            *("--pid", "--ipc", "--uts", "--userns", "--cgroupns", "--cap-add", "--device"),
            *("--security-opt", "--publish", "--env-file", "--gpus", "--add-host"),
            *("--group-add", "--device-cgroup-rule", "--sysctl", "--runtime", "--user"),
        ),
        "-v": "volume",
        "--net": "network",
        "-p": "publish",
        "-u": "user",
        **_idle(
            *("-e", "--env", "-l", "--label", "--name", "-h", "--hostname", "-w"),
            *("--workdir", "-m", "--memory", "--memory-swap", "--memory-reservation"),
            *("-c", "--cpu-shares", "--cpus", "--cpuset-cpus", "--cpuset-mems"),
            *("--pids-limit", "--cap-drop", "--tmpfs", "--ulimit", "--shm-size"),
            *("--dns", "--dns-search", "--dns-option", "--log-driver", "--log-opt"),
            *("--platform", "--pull", "--stop-signal", "--stop-timeout", "-a"),
            *("--attach", "--expose", "--network-alias", "--ip", "--ip6"),
            *("--mac-address", "--domainname", "--oom-score-adj", "--cidfile"),
        ),
    },
    refused={
        **_reason("a connector runs in the foreground: leave it out", "-d", "--detach"),
        **_reason("a connector's process ends with it", "--restart"),
    },
    clusters=True,
)
