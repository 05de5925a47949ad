"""--device: any execution provider of the onnxruntime at hand, and what is said of what it does not take."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime
import pytest

import svgd_onnx
from svgd_onnx.errors import UserError
from svgd_onnx.runtime import has_custom_op_library
from svgd_onnx.targets.standard_onnx import providers
from svgd_onnx.targets.standard_onnx.comparison import relative_difference
from svgd_onnx.targets.standard_onnx.device import Device
from svgd_onnx.targets.standard_onnx.placement import Placement

CPU = "CPUExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"


class Runtime:
    """An onnxruntime that has certain providers, memories and plug-in devices, and keeps what it is told."""

    __version__ = "9.9"

    def __init__(
        self, *names: str, memories: Sequence[str] = (), session: Sequence[str] = (), says: str = ""
    ) -> None:
        self.names = [*names, CPU]
        self.memories = ["cpu", *memories]
        self.devices: list[Any] = []
        self.registered: dict[str, str] = {}
        self.told: Any = None
        self._session = [*session, CPU]
        self._says = says
        self.OrtValue = SimpleNamespace(ortvalue_from_numpy=self._value)

    def get_available_providers(self) -> list[str]:
        return self.names

    def set_default_logger_severity(self, level: int) -> None:
        pass

    def get_ep_devices(self) -> list[Any]:
        return self.devices

    def register_execution_provider_library(self, name: str, path: str) -> None:
        self.registered[name] = path
        self.names = [*self.names, name]

    def InferenceSession(self, path: str, options: Any, providers: Any) -> Any:  # noqa: N802
        self.told = providers
        print(self._says, end="")
        return SimpleNamespace(
            get_providers=lambda: self._session, disable_fallback=lambda: None, path=path
        )

    def _value(self, array: np.ndarray, memory: str, number: int) -> Any:
        if memory not in self.memories:
            raise RuntimeError(f"no {memory}")
        return SimpleNamespace(numpy=lambda: array, memory=memory, number=number)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    providers._plug_in_devices.cache_clear()


class TestNames:
    def test_any_provider_has_one(self) -> None:
        runtime = Runtime(
            "TensorrtExecutionProvider", "CUDAExecutionProvider", "NewExecutionProvider"
        )
        found = [each.device for each in providers.available(runtime)]
        assert found == ["cpu", "tensorrt", "cuda", "new"]
        assert providers.provider_of("new", runtime).name == "NewExecutionProvider"

    def test_they_are_different(self) -> None:
        devices = [each.device for each in providers._PROVIDERS]
        names = [each.name for each in providers._PROVIDERS]
        assert len(set(devices)) == len(devices) == len(set(names))

    def test_what_is_not_there_is_refused_with_what_is(self) -> None:
        with pytest.raises(
            UserError, match="which device='openvino' is of: install onnxruntime-openvino.*xnnpack"
        ):
            providers.provider_of("openvino", Runtime("XnnpackExecutionProvider"))

    def test_what_nobody_knows_is_refused_with_what_is_there(self) -> None:
        with pytest.raises(UserError, match="Unknown device 'abacus': choose from cpu, xnnpack."):
            providers.provider_of("abacus", Runtime("XnnpackExecutionProvider"))


class TestOptions:
    def test_they_reach_the_provider(self) -> None:
        runtime = Runtime(OPENVINO, session=[OPENVINO])
        options = {"device_type": "GPU"}
        Device(runtime, "openvino", options).open(Path("step.onnx"), SimpleNamespace())
        assert runtime.told == [(OPENVINO, options), CPU]

    def test_threads_are_one_where_the_provider_has_its_own(self) -> None:
        runtime = Runtime(OPENVINO, session=[OPENVINO])
        Device(runtime, "openvino", {}, threads=3).open(Path("step.onnx"), SimpleNamespace())
        assert runtime.told[0] == (OPENVINO, {"num_of_threads": "3"})

    def test_what_a_provider_leaves_goes_to_the_next(self) -> None:
        runtime = Runtime("TensorrtExecutionProvider", session=["TensorrtExecutionProvider"])
        options = {"device_id": "1", "trt_fp16_enable": "1"}
        Device(runtime, "tensorrt", options).open(Path("step.onnx"), SimpleNamespace())
        assert runtime.told[1:] == [("CUDAExecutionProvider", {"device_id": "1"}), CPU]

    @pytest.mark.parametrize("device", [None, "cpu"])
    def test_without_a_device_they_are_refused(self, device: str | None) -> None:
        with pytest.raises(UserError, match="device_option has device_id: name the device"):
            Device(Runtime(), device, {"device_id": "1"})


class TestMemory:
    def test_states_stay_on_the_device(self) -> None:
        runtime = Runtime("CUDAExecutionProvider", memories=["cuda"])
        held = Device(runtime, "cuda", {"device_id": "2"}).hold(np.ones(3, np.float32))
        assert (held.memory, held.number) == ("cuda", 2)

    def test_or_on_the_host_where_it_does_not_hold_them(self) -> None:
        held = Device(Runtime("DmlExecutionProvider"), "directml", {}).hold(np.ones(3, np.float32))
        assert held.memory == "cpu"

    def test_cuda_is_taken_where_it_is(self) -> None:
        there = Runtime("CUDAExecutionProvider", memories=["cuda"])
        assert Device(there, None, {}).name == "cuda"
        assert Device(Runtime("CUDAExecutionProvider"), None, {}).name == "cpu"

    def test_cuda_without_a_gpu_is_refused(self) -> None:
        with pytest.raises(UserError, match="finds no GPU"):
            Device(Runtime("CUDAExecutionProvider"), "cuda", {})


def test_a_provider_that_gives_way_to_the_processor_is_refused() -> None:
    says = "*** EP Error ***\nEP Error [ONNXRuntimeError] : 1 : FAIL : no such backend when using ['x']\n"
    device = Device(Runtime(OPENVINO, says=says), "openvino", {})
    with pytest.raises(UserError, match=r"cannot use it here \(no such backend"):
        device.open(Path("step.onnx"), SimpleNamespace())


class TestPlugIns:
    @pytest.fixture
    def runtime(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
        """An onnxruntime, and an installed plug-in whose provider has a processor and a GPU."""
        (tmp_path / "onnxruntime_ep_webgpu.py").write_text(
            "def get_ep_names(): return ['WebGpuExecutionProvider']\n"
            "def get_library_path(): return 'libwebgpu.so'\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "onnxruntime_ep_webgpu", raising=False)
        runtime = Runtime(session=["WebGpuExecutionProvider"])
        runtime.devices = [self.device(CPU, "CPU")]
        runtime.devices += [self.device("WebGpuExecutionProvider", kind) for kind in ("CPU", "GPU")]
        return runtime

    @staticmethod
    def device(provider: str, kind: str) -> Any:
        return SimpleNamespace(
            ep_name=provider, device=SimpleNamespace(type=SimpleNamespace(name=kind))
        )

    @pytest.mark.parametrize(("options", "taken"), [({}, 1), ({"hardware": "gpu"}, 2)])
    def test_its_devices_are_taken(
        self, runtime: Runtime, options: dict[str, str], taken: int
    ) -> None:
        given: list[Any] = []
        settings = SimpleNamespace(add_provider_for_devices=lambda *each: given.append(each))
        Device(runtime, "webgpu", {**options, "key": "1"}).open(Path("step.onnx"), settings)
        assert runtime.registered == {"WebGpuExecutionProvider": "libwebgpu.so"}
        assert given == [([runtime.devices[taken]], {"key": "1"})]
        assert runtime.told is None

    @pytest.mark.parametrize("device", [None, "cpu"])
    def test_none_is_loaded_for_the_processor(self, runtime: Runtime, device: str | None) -> None:
        assert Device(runtime, device, {}).name == "cpu"
        assert not runtime.registered

    def test_hardware_that_there_is_not(self, runtime: Runtime) -> None:
        with pytest.raises(UserError, match="finds cpu, gpu: choose from these"):
            Device(runtime, "webgpu", {"hardware": "npu"})

    def test_one_that_finds_no_device(self, runtime: Runtime) -> None:
        del runtime.devices[1:]
        with pytest.raises(UserError, match="finds no device on this machine"):
            Device(runtime, "webgpu", {})


class TestPlacement:
    def test_onnxruntime_tells(self) -> None:
        nodes = [SimpleNamespace(op_type=kind) for kind in ("Conv", "Conv", "Add")]
        subgraphs = [
            SimpleNamespace(ep_name=OPENVINO, get_nodes=lambda: nodes),
            SimpleNamespace(ep_name=CPU, get_nodes=lambda: nodes[2:]),
        ]
        placement = Placement()
        placement.opened(SimpleNamespace(get_provider_graph_assignment_info=lambda: subgraphs))
        assert placement.nodes == {OPENVINO: Counter(Conv=2, Add=1), CPU: Counter(Add=1)}

    def test_a_profile_tells_where_it_does_not(self, tmp_path: Path) -> None:
        onnx.save(models.mlp(), tmp_path / "model.onnx")
        placement, options = Placement(), onnxruntime.SessionOptions()
        placement.prepare(SimpleNamespace(InferenceSession=object), options)
        session = onnxruntime.InferenceSession(
            str(tmp_path / "model.onnx"), options, providers=[CPU]
        )
        assert not placement.nodes
        session.run(None, {"x": models.examples(models.mlp(), 4)["x"]})
        assert placement.ran(session)
        assert placement.nodes.keys() == {CPU} and placement.nodes[CPU]["Gemm"] >= 1
        assert not placement.ran(session)  # only once


class TestComparison:
    def test_it_is_of_the_length_of_a_step(self) -> None:
        before = [np.zeros(2, np.float32), np.ones(2, np.float32)]
        expected = [np.array([3, 0], np.float32), np.array([1, 5], np.float32)]
        found = [np.array([3, 0.5], np.float32), np.array([1, 5], np.float32)]
        assert relative_difference(before, expected, found) == pytest.approx(0.5 / 5)
        assert relative_difference(before, before, before) == 0

    @pytest.mark.parametrize("factor", [1, 1.1])
    def test_another_step_than_the_processors_is_told(
        self, factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A device whose gradients are `factor` too large, by a rate that is."""
        svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx", verify=False)
        trainer = svgd_onnx.Trainer(tmp_path / "a", device="cpu", kernels="standard")
        session: Any = trainer._session
        session._is_to_compare = True
        compare = session._compare_with_processor
        monkeypatch.setattr(
            session, "_compare_with_processor", lambda arrays, rate: compare(arrays, rate / factor)
        )
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(2):  # once is enough
                trainer.train_step(models.examples(models.mlp(), 8), 0.1)
        sentences = [str(each.message) for each in told]
        assert len(sentences) == (factor != 1)
        assert all("makes another step than the processor" in each for each in sentences)


class TestArtifacts:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        path = tmp_path / "artifacts"
        svgd_onnx.convert(models.mlp(), path, target="onnx", verify=False)
        return path

    def test_another_provider_gives_the_same_losses(self, folder: Path) -> None:
        """Azure's takes no operator, so that the processor runs them: which is said."""
        if "AzureExecutionProvider" not in onnxruntime.get_available_providers():
            pytest.skip("this onnxruntime has no provider but that of the processor")
        batch = models.examples(models.mlp(), 4)
        here = svgd_onnx.Trainer(folder, device="cpu", kernels="standard", threads=1)
        with pytest.warns(UserWarning, match="takes no operator of this step"):
            there = svgd_onnx.Trainer(folder, device="azure", threads=1)
            losses = [there.train_step(batch, 0.1) for _ in range(3)]
        assert losses == [here.train_step(batch, 0.1) for _ in range(3)]
        assert there.nodes.keys() == {CPU} and not here.nodes

    @pytest.mark.skipif(not has_custom_op_library(), reason="there are no fast kernels")
    def test_fast_kernels_are_of_the_processor(self, folder: Path) -> None:
        if "AzureExecutionProvider" not in onnxruntime.get_available_providers():
            pytest.skip("this onnxruntime has no provider but that of the processor")
        with pytest.raises(UserError, match="is of the processor"):
            svgd_onnx.Trainer(folder, device="azure", kernels="fast")

    def test_no_attribute_is_zero_where_that_is_not_its_default(self, folder: Path) -> None:
        """OpenVINO's provider takes the default for it."""
        step = onnx.load(folder / "training_step.onnx")
        for node in step.graph.node:
            known = onnx.defs.get_schema(node.op_type, 17, node.domain).attributes
            for each in node.attribute:
                if each.type == onnx.AttributeProto.FLOAT and each.name in known:
                    assert each.f or not known[each.name].default_value.f, node.op_type

    def test_options_need_a_device(self, folder: Path) -> None:
        with pytest.raises(UserError, match="name the device that takes them"):
            svgd_onnx.Trainer(folder, device_options={"device_id": "0"})


def test_a_session_of_the_processor_leaves_what_the_process_prints_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Trainers that several threads open would put each other's redirection in its place."""
    seen, session = [], onnxruntime.InferenceSession

    def opened(*arguments: Any, **more: Any) -> Any:
        seen.append(sys.stdout)
        return session(*arguments, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    onnx.save(models.mlp(), tmp_path / "model.onnx")
    Device(onnxruntime, "cpu", {}, 1).open(tmp_path / "model.onnx", onnxruntime.SessionOptions())
    assert seen == [sys.stdout]
