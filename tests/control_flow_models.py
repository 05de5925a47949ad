"""Small models with If, Loop and Scan, as text, and what they are fed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import parser

_HEADER = '<ir_version: 8, opset_import: ["": 17]>\n'


def model(text: str, deviation: float = 0.4, **weights: tuple[int, ...]) -> onnx.ModelProto:
    """A model from text, with random initializers of the shapes given."""
    built = parser.parse_model(_HEADER + text)
    random = np.random.default_rng(0)
    for name, shape in weights.items():
        array = random.normal(0, deviation, shape).astype(np.float32)
        built.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return built


def loop_rnn(
    turns: int = 5,
    inputs: int = 4,
    hidden: int = 6,
    *,
    open_turns: bool = False,
    deviation: float = 0.4,
) -> onnx.ModelProto:
    """h = tanh(x_t W + h U + b) in a Loop that gathers x_t, and y = h V."""
    axis = "T" if open_turns else turns
    trip = "s = Shape(xt) z0 = Slice(s, zero, one) trip = Squeeze(z0)" if open_turns else ""
    return model(
        f"""g (float[N,{axis},{inputs}] x) => (float[N,3] y)
        <int64 {'unused' if open_turns else 'trip'} = {{{turns}}}, bool yes = {{1}}, int64[1] zero = {{0}},
         int64[1] one = {{1}}, int64[1] hidden = {{{hidden}}}> {{
            xt = Transpose <perm = [1, 0, 2]> (x)
            {trip}
            sx = Shape(x)
            n = Slice(sx, zero, one)
            hs = Concat <axis = 0> (n, hidden)
            h0 = ConstantOfShape(hs)
            h = Loop <body = b (int64 i, bool c, float[] before) => (bool d, float[] after) {{
                d = Identity(c)
                xi = Gather <axis = 0> (xt, i)
                a = MatMul(xi, w)
                r = MatMul(before, u)
                s1 = Add(a, r)
                s2 = Add(s1, b1)
                after = Tanh(s2)
            }}> (trip, yes, h0)
            y = MatMul(h, v)
        }}""",
        deviation,
        w=(inputs, hidden),
        u=(hidden, hidden),
        b1=(hidden,),
        v=(hidden, 3),
    )


def scan_of_two() -> onnx.ModelProto:
    """Two inputs, one scanned from the last to the first along its second axis; a state; two outputs."""
    return model(
        """g (float[5,N,4] p, float[N,5,3] q) => (float[N,3] y) <float[1,4] one = {1, 1, 1, 1}> {
            z = ReduceSum <keepdims = 0> (p)
            p0 = MatMul(p, first)
            s0 = ReduceMean <axes = [0], keepdims = 0> (p0)
            s, o, e = Scan <num_scan_inputs = 2, scan_input_axes = [0, 1], scan_input_directions = [0, 1],
                    scan_output_axes = [0, 1], scan_output_directions = [0, 1],
                    body = b (float[N,6] before, float[N,6] pt, float[N,3] qt) => (after, ot, et) {
                pu = Gemm <transB = 1> (pt, u)
                qw = MatMul(qt, w)
                sum = Add(pu, qw)
                scaled = Mul(before, decay)
                after = Add(sum, scaled)
                ot = Tanh(after)
                et = Mul(qt, third)
            }> (s0, p0, q)
            o1 = ReduceMean <axes = [0], keepdims = 0> (o)
            e1 = ReduceMean <axes = [1], keepdims = 0> (e)
            h = Add(s, o1)
            y0 = MatMul(h, v)
            y = Add(y0, e1)
        }""",
        first=(4, 6),
        u=(6, 6),
        w=(3, 6),
        decay=(6,),
        third=(3,),
        v=(6, 3),
    )


def early_exit() -> onnx.ModelProto:
    """A Loop that ends by its condition, after a number of turns that the data decide."""
    return model(
        """g (float[N,4] x) => (float[N,4] y) <bool yes = {1}, int64 most = {20}, float limit = {3}> {
            h, o = Loop <body = b (int64 i, bool c, float[N,4] before) => (go, after, out) {
                a = MatMul(before, w)
                after = Add(a, before)
                square = Mul(after, after)
                size = ReduceMean <keepdims = 0> (square)
                go = Less(size, limit)
                out = Sigmoid(after)
            }> (most, yes, x)
            o1 = ReduceMean <axes = [0], keepdims = 0> (o)
            y0 = Add(h, o1)
            y = MatMul(y0, v)
        }""",
        w=(4, 4),
        v=(4, 4),
    )


def if_in_loop() -> onnx.ModelProto:
    """An If in a Loop, each branch with a weight of its own and one that is read outside too."""
    return model(
        """g (float[N,4] x) => (float[N,4] y) <bool yes = {1}, int64 trip = {4}, int64 two = {2}> {
            first = MatMul(x, shared)
            h = Loop <body = b (int64 i, bool c, float[N,4] before) => (d, after) {
                d = Identity(c)
                small = Less(i, two)
                t = If (small) <then_branch = tb () => (t1) { t0 = MatMul(before, w) t1 = Tanh(t0) },
                                else_branch = eb () => (e1) { e0 = MatMul(before, shared) e1 = Add(e0, bias) }>
                after = Add(t, first)
            }> (trip, yes, x)
            y = MatMul(h, v)
        }""",
        shared=(4, 4),
        w=(4, 4),
        bias=(4,),
        v=(4, 4),
    )


def row_in_branch() -> onnx.ModelProto:
    """An If whose branch takes a row of what it made: the way back reads its Shape, of int64."""
    return model(
        """g (float[N,4] x) => (float[N,4] y) <int64 last = {0}, float zero = {0}> {
            sum = ReduceSum <keepdims = 0> (x)
            big = Greater(sum, zero)
            h = If (big) <then_branch = tb () => (t) {
                              t0 = MatMul(x, w) t1 = Tanh(t0) t2 = Gather(t1, last) t = Add(t1, t2)
                          },
                          else_branch = eb () => (e) { e0 = MatMul(x, u) e = Tanh(e0) }>
            y = MatMul(h, v)
        }""",
        w=(4, 4),
        u=(4, 4),
        v=(4, 4),
    )


def loop_in_loop() -> onnx.ModelProto:
    """A Loop of as many turns as the Loop around it has made."""
    return model(
        """g (float[N,4] x) => (float[N,4] y) <bool yes = {1}, int64 trip = {3}, int64 one = {1}> {
            h = Loop <body = b (int64 i, bool c, float[N,4] before) => (d, after) {
                d = Identity(c)
                a = MatMul(before, w)
                turns = Add(i, one)
                inner = Loop <body = b2 (int64 j, bool c2, float[N,4] before2) => (d2, after2) {
                    d2 = Identity(c2)
                    p = MatMul(before2, u)
                    q = Add(p, a)
                    after2 = Tanh(q)
                }> (turns, yes, a)
                after = Add(inner, x)
            }> (trip, yes, x)
            y = MatMul(h, v)
        }""",
        w=(4, 4),
        u=(4, 4),
        v=(4, 4),
    )


def loop_in_branch() -> onnx.ModelProto:
    """A Loop in one branch of an If, a layer in the other."""
    return model(
        """g (float[N,4] x) => (float[N,4] y) <bool yes = {1}, int64 trip = {3}, float zero = {0}> {
            total = ReduceSum <keepdims = 0> (x)
            big = Greater(total, zero)
            h = If (big) <then_branch = tb () => (t) {
                    t = Loop <body = b (int64 i, bool c, float[N,4] before) => (d, after) {
                        d = Identity(c)
                        p = MatMul(before, u)
                        after = Tanh(p)
                    }> (trip, yes, x)
                },
                else_branch = eb () => (e) { e0 = MatMul(x, w) e = Relu(e0) }>
            y = MatMul(h, v)
        }""",
        w=(4, 4),
        u=(4, 4),
        v=(4, 4),
    )


def convolutions_in_scan() -> onnx.ModelProto:
    """A convolution at each turn, and rows of an embedding that numbers of the data choose."""
    return model(
        """g (float[N,3,2,5,5] x, int64[N,3] ids) => (float[N,4] y) <int64[1] last = {1}> {
            x1 = ReduceMean <axes = [1, 2, 3, 4], keepdims = 0> (x)
            x2 = Unsqueeze(x1, last)
            z = MatMul(x2, start)
            s = Scan <num_scan_inputs = 2, scan_input_axes = [1, 1],
                      body = b (float[N,4] before, float[N,2,5,5] xt, int64[N] it) => (after) {
                c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (xt, kernel, bias)
                r = Relu(c)
                g1 = GlobalAveragePool(r)
                f = Flatten(g1)
                e = Gather(table, it)
                a = Mul(f, e)
                after = Add(before, a)
            }> (z, x, ids)
            y = MatMul(s, v)
        }""",
        kernel=(4, 2, 3, 3),
        bias=(4,),
        table=(7, 4),
        v=(4, 4),
        start=(1, 4),
    )


def constant_condition() -> onnx.ModelProto:
    """An If whose condition folds, with a weight of the same name in each branch."""
    return model(
        """g (float[N,4] x) => (float[N,4] y) <int64 rank = {2}> {
            s = Shape(x)
            n = Shape(w)
            k = Size(n)
            two = Equal(k, rank)
            h = If (two) <then_branch = tb () => (t) { t0 = MatMul(x, w) t = Relu(t0) },
                          else_branch = eb () => (e) { e = Identity(x) }>
            y = MatMul(h, v)
        }""",
        w=(4, 4),
        v=(4, 4),
    )


def dropout_in_scan() -> onnx.ModelProto:
    """Dropout at each turn."""
    return model(
        """g (float[N,3,4] x) => (float[N,4] y) <float ratio = {0.5}> {
            z = ReduceMean <axes = [1], keepdims = 0> (x)
            s = Scan <num_scan_inputs = 1, scan_input_axes = [1],
                      body = b (float[N,4] before, float[N,4] xt) => (after) {
                p = MatMul(xt, w)
                q = Dropout(p, ratio)
                after = Add(before, q)
            }> (z, x)
            y = MatMul(s, v)
        }""",
        w=(4, 4),
        v=(4, 4),
    )


def two_loops() -> onnx.ModelProto:
    """Loops of different numbers of turns, one after the other."""

    def turns(name: str, before: str, trip: str) -> str:
        return f"""{name} = Loop <
            body = b_{name} (int64 i_{name}, bool c_{name}, float[N,4] s_{name}) => (d_{name}, n_{name}) {{
                d_{name} = Identity(c_{name})
                p_{name} = MatMul(s_{name}, w_{name})
                n_{name} = Tanh(p_{name})
            }}> ({trip}, yes, {before})"""

    return model(
        f"""g (float[N,4] x) => (float[N,4] y) <bool yes = {{1}}, int64 two = {{2}}, int64 five = {{5}}> {{
            {turns("h", "x", "two")}
            {turns("k", "h", "five")}
            y = MatMul(k, v)
        }}""",
        w_h=(4, 4),
        w_k=(4, 4),
        v=(4, 4),
    )


def growing_state() -> onnx.ModelProto:
    """A state that is one number before the first turn, and a row for each example after it."""
    return model(
        """g (float[N,4] x) => (float[N,3] y) <bool yes = {1}, int64 trip = {2}, float[1] zero = {0}> {
            e = MatMul(x, w)
            h = Loop <body = b (int64 i, bool c, float[] before) => (d, after) {
                d = Identity(c)
                after = Add(before, e)
            }> (trip, yes, zero)
            y = MatMul(h, v)
        }""",
        w=(4, 6),
        v=(6, 3),
    )


def longer_state(trip: str = "int64 trip = {3}", given: str = "") -> onnx.ModelProto:
    """A state that is longer by one after each turn."""
    return model(
        f"""g (float[N,4] x{given}) => (float[N,3] y) <bool yes = {{1}}{"" if given else ", " + trip}> {{
            first = MatMul(x, w)
            h = Loop <body = b (int64 i, bool c, float[N,M] before) => (d, after) {{
                d = Identity(c)
                e = ReduceMax <axes = [1], keepdims = 1> (before)
                f = Tanh(e)
                after = Concat <axis = 1> (before, f)
            }}> (trip, yes, first)
            m = ReduceMean <axes = [1]> (h)
            y = MatMul(m, v)
        }}""",
        w=(4, 2),
        v=(1, 3),
    )


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "constant_condition": constant_condition,
    "convolutions_in_scan": convolutions_in_scan,
    "dropout_in_scan": dropout_in_scan,
    "early_exit": early_exit,
    "growing_state": growing_state,
    "if_in_loop": if_in_loop,
    "longer_state": longer_state,
    "loop_in_branch": loop_in_branch,
    "loop_in_loop": loop_in_loop,
    "loop_rnn": loop_rnn,
    "open_turns": lambda: loop_rnn(open_turns=True),
    "row_in_branch": row_in_branch,
    "scan_of_two": scan_of_two,
    "two_loops": two_loops,
}
