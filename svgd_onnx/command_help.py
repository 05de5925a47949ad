"""What --help shows of options and commands: groups, and examples."""

from __future__ import annotations

_GROUPS = {
    "The loss": (
        "loss",
        "prediction",
        "reduction",
        "class_axis",
        "ignore_index",
        "class_weights",
        "label_smoothing",
        "focal_gamma",
        "margin",
        "from_logits",
    ),
    "The data that a model takes": ("batch_axis", "size", "fixed_batch", "random_size"),
    "The update": (
        "optimizer",
        "scale",
        "rho",
        "epsilon",
        "momentum",
        "weight_decay",
        "l1",
        "proximal",
        "rate",
        "clip_norm",
        "clip_value",
        "accumulation_steps",
        "ema",
    ),
    "What is trained, and where T acts": (
        "train",
        "freeze",
        "freeze_bn",
        "quantized",
        "t_scope",
        "granularity",
        "gradient",
        "encapsulation",
        "t_kernel",
    ),
    "What the model is to become": (
        "num_classes",
        "init_head",
        "reset",
        "init_seed",
        "lora",
        "lora_targets",
        "lora_alpha",
    ),
    "How it is made": (
        "target",
        "differentiator",
        "compute",
        "loss_scale",
        "recompute",
        "gradient_norms",
        "verify",
    ),
    "Several ranks": ("data_parallel", "r", "batch_norm"),
    "Data": ("data_file", "validation", "columns", "transform", "classes", "workers", "shuffle"),
    "How long, and at which rate": (
        "epochs",
        "steps",
        "batch_size",
        "learning_rate",
        "schedule",
        "early_stopping",
        "monitor",
        "min_delta",
        "metric",
        "seed",
        "non_finite",
    ),
    "Where it runs": (
        "device",
        "device_option",
        "threads",
        "kernels",
        "distributed",
        "compress",
        "verbose",
    ),
    "Log and checkpoints": (
        "log",
        "log_every",
        "tensorboard",
        "checkpoint_every",
        "checkpoint_best",
        "checkpoint_keep",
        "checkpoint",
        "checkpoint_on_stop",
        "resume",
        "restart",
    ),
    "What is checked": ("only", "directions", "tolerance"),
    "The picture": ("smooth", "log_scale"),
    "Pictures of the training graph": ("html", "svg"),
    "Every command": ("config", "json", "quiet"),
}

GROUP_OF = {name: group for group, names in _GROUPS.items() for name in names}
"""The heading of an option by its parameter's name; what has none stands under "Options"."""

EXAMPLES = {
    "convert": (
        "svgd-onnx convert model.onnx --output artifacts",
        "svgd-onnx convert model.onnx --output artifacts --target onnx --optimizer adamw --freeze 'stem.*'",
        "svgd-onnx convert --config artifacts/run.toml --force",
    ),
    "train": (
        "svgd-onnx train artifacts --data train.npz --epochs 20 --batch-size 32 --learning-rate 0.1",
        "svgd-onnx train artifacts --data train.npz --validation test.npz --steps 5000 --batch-size 32 "
        "--learning-rate 0.1 --schedule 1600:0.01,3600:0.001 --log log.csv",
        "svgd-onnx train --config artifacts/run.toml --epochs 40",
    ),
    "evaluate": (
        "svgd-onnx evaluate artifacts --data test.npz",
        "svgd-onnx evaluate artifacts --data test.npz --json",
    ),
    "predict": (
        "svgd-onnx predict artifacts --data test.npz --output predictions.npz",
        "svgd-onnx predict trained.onnx --data photos --transform resize=224 --output predictions.csv",
    ),
    "export": (
        "svgd-onnx export artifacts --output trained.onnx",
        "svgd-onnx export artifacts --output trained.onnx --requantize",
        "svgd-onnx export artifacts --adapter trained.safetensors",
    ),
    "plot": (
        "svgd-onnx plot log.csv",
        "svgd-onnx plot svgd.csv adamw.csv --metric loss --metric accuracy --smooth 20 --output runs.svg",
    ),
    "federate": (
        "svgd-onnx federate my-app",
        "svgd-onnx federate my-app --artifacts artifacts --data train.npz --test-data test.npz",
    ),
    "apply": (
        "svgd-onnx apply model.onnx --adapter trained.safetensors --output trained.onnx",
        "svgd-onnx apply model.onnx --adapter trained.safetensors --output trained.onnx --json",
    ),
    "inspect": (
        "svgd-onnx inspect model.onnx --target onnx",
        "svgd-onnx inspect artifacts --json",
        "svgd-onnx inspect model.onnx --html graph.html --svg graph.svg",
    ),
    "check": (
        "svgd-onnx check model.onnx",
        "svgd-onnx check model.onnx --data train.npz --batch-size 4 --only 'fc*'",
    ),
}
"""Of each command, by its name."""

WHOLE_EXAMPLE = "\n\n".join(
    (
        "From a model to a trained one:",
        EXAMPLES["convert"][0],
        EXAMPLES["train"][0],
        EXAMPLES["evaluate"][0],
        EXAMPLES["export"][0],
    )
)
"""What the help of the program ends in."""
