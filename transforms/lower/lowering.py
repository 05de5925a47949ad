"""What is known of an operator that training graphs have besides the standard ones."""

from __future__ import annotations

from dataclasses import dataclass

from svgd_onnx.transforms.rule import Rule

TRAINING_DOMAIN = "com.microsoft"


@dataclass(frozen=True)
class Lowering:
    """How an operator of onnxruntime's training set is written with standard ones.

    Attributes:
        rule: writes it.
        domain: where onnxruntime has it.
        forward: whether it makes no gradient. Shapes follow from those of the inputs only once these
            are written, and then rules of gradients can ask for them.
    """

    rule: Rule
    domain: str = TRAINING_DOMAIN
    forward: bool = False
