"""Write a training graph with operators of ours that have channels last."""

from __future__ import annotations

from svgd_onnx.transforms.channels_last.channels_last import ChannelsLast, with_channels_last

__all__ = ["ChannelsLast", "with_channels_last"]
