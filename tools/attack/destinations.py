"""Devices, pipes, sockets, folders and links as destinations, as root and as another user: are they as before?

    sudo .venv/bin/python -m tools.attack.destinations [--user nobody]

In a folder of its own it makes a device like /dev/null, a named pipe, a socket, a folder of others, a file
that is an input, and symbolic links to each, and names each to `convert --output` (with and without --force),
`train --log` and `export --output`, by each user. Each command has to end with exit code 2 and one sentence, or
where a link leads to nothing yet, work and leave the link; what was there has to be what it was, its content,
mode, device number, inode and owner. Prints a tally, and ends with exit code 1 if anything is not so. Without
root there is no device, and no other user.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import signal
import socket
import stat
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TextIO

import numpy as np

from tools.attack import command_line

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import models  # noqa: E402

from svgd_onnx.targets.artifact_files import RUN_FILE  # noqa: E402

_SECONDS = 120
_REFUSED, _LINK_STAYS = "refused, all as before", "written beyond the link, which stays"
_FINE = {_REFUSED, _LINK_STAYS}
_BATCH = ["--batch-size", "4", "--learning-rate", "0.1", "--steps", "1"]

State = tuple[int, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--user", default="nobody")
    given = parser.parse_args()
    is_root = os.geteuid() == 0
    users = [None, pwd.getpwnam(given.user)] if is_root else [None]
    tally: Counter[str] = Counter()
    for user in users:
        name = given.user if user else pwd.getpwuid(os.geteuid()).pw_name
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            places = _make(folder, devices=is_root)
            if user is not None:
                _give(folder, user)
            for command in _commands(folder):
                for place in (each for each in places if _matters(each, command)):
                    kind = _attack(folder, command, place, user)
                    tally[kind] += 1
                    if kind not in _FINE:
                        print(f"{name}: {' '.join(command)} {place.name}: {kind}", flush=True)
        print(f"{name}: {len(places)} destinations", flush=True)
    print(", ".join(f"{count} {kind}" for kind, count in tally.most_common()))
    sys.exit(1 if tally.keys() - _FINE else 0)


def _make(folder: Path, *, devices: bool) -> list[Path]:
    """What commands are pointed at; the model, artifacts and data beside it."""
    model = models.mlp()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    arguments = [str(folder / "model.onnx"), "--no-verify", "--output", str(folder / "artifacts")]
    np.savez(folder / "data.npz", **models.examples(model, 8))
    train = ["train", str(folder / "artifacts"), "--data", str(folder / "data.npz"), *_BATCH]
    export = ["export", str(folder / "artifacts"), "--output", str(folder / "trained.onnx")]
    with tempfile.TemporaryFile("w+") as modules:
        for command in (["convert", *arguments], train, [*train, "--restart"], export):
            code, said = _run(command, None, modules)
            assert code == 0, said
        modules.seek(0)
        # of which the other user may not read the files
        command_line.import_all(modules.read().split())
    there = folder / "there"
    there.mkdir()
    os.mkfifo(there / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(there / "socket"))
    (there / "folder").mkdir()
    (there / "folder" / "notes.txt").write_text("mine")
    if devices:
        os.mknod(there / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (there / "device").chmod(0o666)
    for place in list(there.iterdir()):
        (there / f"link-to-{place.name}").symlink_to(place)
    (there / "link-to-model").symlink_to(folder / "model.onnx")
    (there / "link-to-data").symlink_to(folder / "data.npz")
    (there / "link-to-checkpoint").symlink_to(next((folder / "artifacts").glob("checkpoint*")))
    (there / "link-to-itself").symlink_to(there / "link-to-itself")
    (there / "link-to-nothing").symlink_to(folder / "nothing-yet")
    return sorted(there.iterdir())


def _give(folder: Path, user: pwd.struct_passwd) -> None:
    """All of it is the user's own, so that rights are no reason to leave it as it is."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _commands(folder: Path) -> list[list[str]]:
    model, artifacts = str(folder / "model.onnx"), str(folder / "artifacts")
    # anew, as a training with nothing to do writes no log
    train = ["train", artifacts, "--data", str(folder / "data.npz"), *_BATCH, "--restart"]
    return [
        ["convert", model, "--no-verify", "--output"],
        ["convert", model, "--no-verify", "--force", "--output"],
        [*train, "--log"],
        ["export", artifacts, "--output"],
    ]


def _matters(place: Path, command: list[str]) -> bool:
    """Whether a link to a file leads to one that the command reads; others are written over, as files are."""
    if place.name in ("link-to-model", "link-to-data"):
        return str(place.readlink()) in command
    return True


def _attack(folder: Path, command: list[str], place: Path, user: pwd.struct_passwd | None) -> str:
    before, target = _states(folder), folder / "nothing-yet"
    checkpoint = {path: path.read_bytes() for path in (folder / "artifacts").glob("checkpoint*")}
    code, said = _run([*command, str(place)], user)
    if code == 0 and place.name == "link-to-nothing" and target.exists():
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        for path in (folder / "artifacts").glob("checkpoint*"):
            path.unlink()  # a training replaced it, and kept the one from which it began
        for path, content in checkpoint.items():
            path.write_bytes(content)
        fine = _LINK_STAYS
    elif code == 2:
        fine = _REFUSED
    else:
        return f"exit code {code}: {said.strip()[-300:]}"
    return fine if _states(folder) == before else "not as before"


def _run(
    arguments: list[str], user: pwd.struct_passwd | None, modules: TextIO | None = None
) -> tuple[int, str]:
    """A command line by a user, in a copy of this process: its exit code, and what it said.

    The modules that it imported are written into a file.
    """
    with tempfile.TemporaryFile() as errors:
        child = os.fork()
        if not child:
            if user is not None:
                os.setgroups([])
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
            signal.alarm(_SECONDS)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(errors.fileno(), 2)
            sys.argv = ["svgd-onnx", *arguments]
            code = command_line.exit_code()
            sys.stderr.flush()
            if modules is not None:
                print(*sys.modules, file=modules, flush=True)
            os._exit(code)
        _, status = os.waitpid(child, 0)
        errors.seek(0)
        return os.waitstatus_to_exitcode(status), errors.read().decode(errors="replace")


def _states(folder: Path) -> dict[str, tuple[State, bytes | str]]:
    """Of each thing there, locks and the record of what was done apart: what it is, and what is in it."""
    found: dict[str, tuple[State, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".svgd-lock") or path.name == RUN_FILE:
            continue
        of = path.lstat()
        # a training replaces its checkpoint, where the log is none of these
        inode = 0 if path.name.startswith("checkpoint") else of.st_ino
        owner = (0, 0, 0) if not inode else (of.st_mode, of.st_uid, of.st_gid)
        state = (stat.S_IFMT(of.st_mode), *owner, of.st_rdev, inode, of.st_nlink)
        content: bytes | str = ""
        if stat.S_ISLNK(of.st_mode):
            content = str(path.readlink())
        elif stat.S_ISREG(of.st_mode):
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (state, content)
    return found


if __name__ == "__main__":
    main()
