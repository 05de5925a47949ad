"""What adapters have learned, in a file of its own: safetensors, without the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from svgd_onnx.errors import UserError, option
from svgd_onnx.files import PathLike, require_there, whole_file
from svgd_onnx.files.tensors import write_tensors
from svgd_onnx.json_reading import MisfitError, read
from svgd_onnx.manifest import Manifest
from svgd_onnx.records import LowRank
from svgd_onnx.targets import target_named
from svgd_onnx.targets.artifact_files import check_not_of_artifacts
from svgd_onnx.targets.target import Values
from svgd_onnx.training.exported_model import averaged
from svgd_onnx.training.finite import without_nan
from svgd_onnx.training.kept_checkpoints import LAST, find

# In the file's metadata, as JSON.
_METADATA = "svgd.adapter"


@dataclass
class AdapterMetadata:
    """What the file says of its tensors.

    Attributes:
        lora: the adapters, as svgd.json has them.
        shapes: of every tensor, by name.
        source: SHA-256 of the model's file and of those that hold its weights, in order; none if it was in
            memory.
        prediction: the output that was trained.
        num_classes: of a new head; None if there is none.
    """

    lora: LowRank
    shapes: dict[str, list[int]]
    source: list[str] = field(default_factory=list)
    prediction: str = ""
    num_classes: int | None = None


def export_adapter(
    folder: PathLike, path: PathLike, *, checkpoint: str = LAST, trained: bool = False
) -> None:
    """Writes what adapters, and parameters beside them, have become, without the model.

    Tensors are float32, by the names that svgd.json gives them. `apply_adapter` puts them on the model.

    Args:
        folder: training artifacts, converted with `lora`.
        path: the safetensors file to write.
        checkpoint: of which, as of `export`.
        trained: whether parameters as they were trained are written where there are averages of them.

    Raises:
        UserError: the folder holds no artifacts, none with adapters or no such checkpoint, a parameter is NaN,
            or the file cannot be written.
    """
    source = Path(folder)
    manifest = Manifest.load(source)
    step = find(source, manifest, checkpoint)
    value = target_named(manifest.target).checkpoint(source, manifest, step)
    write_adapter(source, manifest, value, path, trained=trained)


def adapters_of(folder: PathLike, manifest: Manifest) -> LowRank:
    """The adapters of artifacts.

    Raises:
        UserError: they have none.
    """
    if manifest.lora is None:
        raise UserError(f"'{folder}' has no adapters: convert with {option('lora')}.")
    return manifest.lora


def write_adapter(
    folder: Path, manifest: Manifest, value: Values, path: PathLike, *, trained: bool = False
) -> None:
    """As `export_adapter`, of parameters that are at hand by name."""
    check_not_of_artifacts(Path(path), folder)
    value = value if trained else averaged(manifest, value)
    lora = adapters_of(folder, manifest)
    parameters = {each.name: each for each in manifest.parameters}
    integers = [each for each in lora.whole if parameters[each].quantization is not None]
    if integers:
        raise UserError(
            f"'{integers[0]}' was trained itself and is quantized, which a file of adapters does not hold: "
            "export the model."
        )
    names = [name for each in lora.adapters for name in (each.down, each.up)]
    tensors = {
        name: np.asarray(without_nan(name, value(name)), "<f4", order="C")
        for name in (*names, *lora.whole)
    }
    metadata = AdapterMetadata(
        lora,
        {name: list(array.shape) for name, array in tensors.items()},
        sorted((manifest.source or {}).values()),
        manifest.prediction,
        manifest.num_classes,
    )
    with whole_file(Path(path)) as temporary:
        write_tensors(temporary, tensors, {_METADATA: json.dumps(asdict(metadata))})


def read_adapter(path: PathLike) -> tuple[AdapterMetadata, Mapping[str, np.ndarray]]:
    """Reads what `export_adapter` wrote.

    Raises:
        UserError: there is no such file, it is another program's, or damaged.
    """
    require_there(Path(path))
    try:
        with safe_open(path, framework="numpy") as file:
            content = (file.metadata() or {}).get(_METADATA)
            if content is None:
                raise UserError(
                    f"'{path}' is none of svgd-onnx's adapters: give a file that svgd-onnx export "
                    f"{option('adapter')} wrote."
                )
            metadata = read(AdapterMetadata, json.loads(content))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, MisfitError, OSError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"The adapter '{path}' is damaged: export it again.") from error
    named = [name for each in metadata.lora.adapters for name in (each.down, each.up)]
    shapes = {name: list(array.shape) for name, array in tensors.items()}
    if shapes != metadata.shapes or set(shapes) != {*named, *metadata.lora.whole}:
        raise UserError(f"The adapter '{path}' is damaged: export it again.")
    return metadata, tensors
