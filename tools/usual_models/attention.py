"""Scaled dot-product attention as torch.onnx's exporter writes it out."""

from __future__ import annotations

from tools.usual_models.exported import Exported


def heads(net: Exported, value: str, length: int, count: int, size: int) -> str:
    """(N, length, count * size) -> (N, count, length, size)."""
    split = net.reshape(value, -1, length, count, size)
    return net.transpose(split, 0, 2, 1, 3)


def attention(
    net: Exported,
    query: str,
    key: str,
    value: str,
    *,
    size: int,
    mask: str | None,
) -> str:
    """Of (N, heads, length, size) each -> (N, length, heads, size).

    Args:
        net: to write to.
        query, key, value: names.
        size: of a head.
        mask: what is added to the scores; rows that are masked throughout give zeros then.
    """
    shape = net.node("Shape", key, start=0)
    last = net.node("Slice", shape, net.integers(-1), net.integers(2**63 - 1))
    before = net.node("Slice", shape, net.integers(-2), net.integers(-1))
    first = net.node("Slice", shape, net.integers(-(2**63)), net.integers(-2))
    flat = net.node("Concat", net.integers(-1), before, last, axis=0)
    turned = net.transpose(net.node("Reshape", key, flat, allowzero=0), 0, 2, 1)
    whole = net.node("Concat", first, last, before, axis=0)
    turned = net.node("Reshape", turned, whole, allowzero=0)
    root = net.constant(float(size) ** -0.25)
    scores = net.node("MatMul", net.node("Mul", query, root), net.node("Mul", turned, root))
    if mask is not None:
        scores = net.node("Add", scores, mask)
    chances = net.node("Softmax", scores, axis=-1)
    if mask is not None:
        chances = net.node("Where", net.node("IsNaN", chances), net.constant(0.0), chances)
    return net.transpose(net.node("MatMul", chances, value), 0, 2, 1, 3)
