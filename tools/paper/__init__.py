"""The experiments of the SVGD paper."""
