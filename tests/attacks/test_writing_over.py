"""Nothing is written over but files, and none that the same command reads."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from attacks import attacked
from attacks.attacked import TRAIN, Refused

import svgd_onnx
from svgd_onnx import UserError
from svgd_onnx.files import whole_file

model, folder, data, refused = attacked.model, attacked.folder, attacked.data, attacked.refused


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))  # that of /dev/null
    except PermissionError:
        pytest.skip("devices can be made by root only")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # its name may be no longer than 107 bytes


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("mine")


KINDS = {
    "a named pipe": make_pipe,
    "a device": make_device,
    "a socket": make_socket,
    "a folder": make_folder,
}


@pytest.fixture(params=KINDS)
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """What it is, and where."""
    path = tmp_path / "there"
    KINDS[request.param](path)
    return request.param, path


def state(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_mode, found.st_rdev, found.st_ino


@pytest.mark.parametrize("through_a_link", [False, True])
def test_the_log_replaces_files_only(
    refused: Refused, folder: Path, data: Path, no_file: tuple[str, Path], through_a_link: bool
) -> None:
    kind, path = no_file
    before = state(path)
    given = path
    if through_a_link:
        given = path.with_name("link")
        given.symlink_to(path)
    error = refused("train", folder, "--data", data, "--log", given, "--steps", 1, *TRAIN)
    assert kind in error
    assert state(path) == before


def test_export_replaces_files_only(
    refused: Refused, folder: Path, no_file: tuple[str, Path]
) -> None:
    kind, path = no_file
    before = state(path)
    assert kind in refused("export", folder, "--output", path)
    assert state(path) == before


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_convert_replaces_folders_of_artifacts_only(
    refused: Refused, model: Path, no_file: tuple[str, Path], force: tuple[str, ...]
) -> None:
    _, path = no_file
    before = state(path)
    refused("convert", model, "--output", path, *force)
    assert state(path) == before
    assert not path.is_dir() or (path / "notes.txt").read_text() == "mine"


def test_force_does_not_replace_what_lies_beside_artifacts(
    refused: Refused, model: Path, folder: Path
) -> None:
    (folder / "losses.csv").write_text("mine")
    assert "'losses.csv'" in refused("convert", model, "--output", folder, "--force")
    assert (folder / "losses.csv").read_text() == "mine"


def test_force_does_not_take_any_json_for_artifacts(
    refused: Refused, model: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "svgd.json").write_text('{"format": "mine"}')
    assert "no folder of training artifacts" in refused(
        "convert", model, "--output", other, "--force"
    )


def test_a_link_stays_and_its_file_is_replaced(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link, file = tmp_path / "link.onnx", tmp_path / "elsewhere" / "trained.onnx"
    link.symlink_to(file)
    svgd_onnx.Trainer(folder).export(link)
    assert link.is_symlink() and file.is_file()


def test_a_link_to_a_folder_stays(model: Path, folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    svgd_onnx.convert(model, link, target="onnx", optimizer="sgd", verify=False, force=True)
    assert link.is_symlink()
    assert svgd_onnx.Manifest.load(folder).optimizer == "sgd"


def test_links_that_go_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match="cannot be written"), whole_file(tmp_path / "a"):
        pass


def same(path: Path) -> Path:
    return path


def symbolic(path: Path) -> Path:
    link = path.with_name("symbolic")
    link.symlink_to(path)
    return link


def hard(path: Path) -> Path:
    link = path.with_name("hard")
    link.hardlink_to(path)
    return link


def relative(path: Path) -> Path:
    return Path(os.path.relpath(path))


NAMES = [same, symbolic, hard, relative]


@pytest.mark.parametrize("name", NAMES)
def test_the_log_is_none_of_the_data(
    refused: Refused, folder: Path, data: Path, name: object
) -> None:
    before = data.read_bytes()
    path = name(data)  # type: ignore[operator]
    error = refused("train", folder, "--data", data, "--log", path, "--steps", 1, *TRAIN)
    assert "is a file that is read" in error
    assert data.read_bytes() == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("artifact", ["svgd.json", "eval_model.onnx", "checkpoint.safetensors"])
def test_the_log_and_what_is_exported_are_none_of_the_artifacts(
    refused: Refused, folder: Path, data: Path, artifact: str, name: object
) -> None:
    before = (folder / artifact).read_bytes()
    path = name(folder / artifact)  # type: ignore[operator]
    assert "is a file that is read" in refused("export", folder, "--output", path)
    error = refused("train", folder, "--data", data, "--log", path, "--steps", 1, *TRAIN)
    assert "is a file that is read" in error
    assert (folder / artifact).read_bytes() == before


@pytest.mark.parametrize("name", ["checkpoint.step-0.safetensors", "checkpoint.step-7"])
def test_nor_a_checkpoint_that_may_be_kept(
    refused: Refused, folder: Path, data: Path, name: str
) -> None:
    path = folder / name
    assert "has the name of a checkpoint that" in refused("export", folder, "--output", path)
    error = refused("train", folder, "--data", data, "--log", path, "--steps", 1, *TRAIN)
    assert "has the name of a checkpoint that" in error
    assert not path.exists()


def test_a_link_to_itself(refused: Refused, model: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    refused("convert", model, "--output", link)
    assert link.is_symlink()


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_replaced_keeps_its_permissions(model: Path, data: Path, tmp_path: Path) -> None:
    """What was for its user alone does not become everybody's to read."""
    folder, exported = tmp_path / "artifacts", tmp_path / "trained.onnx"
    svgd_onnx.convert(model, folder, target="onnx", verify=False)
    folder.chmod(0o700)
    svgd_onnx.convert(model, folder, target="onnx", verify=False, force=True)
    assert permissions(folder) == 0o700
    checkpoint = folder / "checkpoint.safetensors"
    for path in (checkpoint, exported):
        path.touch()
        path.chmod(0o600)
    trainer = svgd_onnx.Trainer(folder)
    trainer.train(svgd_onnx.load_data(data), steps=1, batch_size=8, learning_rate=0.1)
    trainer.export(exported)
    paths = [*folder.glob("checkpoint*"), exported]
    assert [permissions(path) for path in paths] == [0o600] * 3


def test_new_files_have_the_users_permissions_and_their_mask_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read by writing it, it is lost where another thread does so too."""
    before = os.umask(0o027)
    try:
        monkeypatch.delattr(os, "umask")
        with whole_file(tmp_path / "file") as path:
            path.write_text("")
        assert permissions(tmp_path / "file") == 0o640
    finally:
        monkeypatch.undo()
        assert os.umask(before) == 0o027


def test_a_file_of_options_is_read_and_not_written(
    refused: Refused, folder: Path, data: Path, tmp_path: Path
) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        f"[train]\nfolder = '{folder}'\ndata = '{data}'\nlog = '{config}'\nsteps = 1\nbatch-size = 8\n"
        f"learning-rate = 0.1\n[export]\nfolder = '{folder}'\noutput = '{config}'\n"
    )
    before = config.read_bytes()
    for command in ("train", "export"):
        assert "is a file that is read" in refused(command, "--config", config)
    assert config.read_bytes() == before


def test_so_is_a_file_of_classes(
    refused: Refused, folder: Path, data: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\ufeffape\nbee\ncat\ndog\n", encoding="utf-8")
    before = names.read_bytes()
    how = ("--data", data, "--classes", names, "--log", names, "--steps", 1, *TRAIN)
    assert "is a file that is read" in refused("train", folder, *how)
    assert names.read_bytes() == before
