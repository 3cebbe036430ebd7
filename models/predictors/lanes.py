"""Sums whose last bit is the same on every machine.

Floating-point addition is not associative: a sum is defined only together with its order. The
order here is that of a vector register: element i goes into partial sum i % LANES, then halves are
added to halves. It is written in LLVM's vector types, which every processor computes the same way,
with or without vector units of that width; numba fuses no multiplication with an addition unless it
is told to (`fastmath`). A plain loop over one sum would be as exact, but it may not be vectorized:
1,280 taps of float32 take 1.5 us that way, 0.16 us this way, and 0.75 us as integers.

Vectors are contiguous, and their lengths are multiples of LANES.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

LANES = 8


@register_jitable
def padded(length: int) -> int:
    """Returns the next multiple of LANES."""
    return (length + LANES - 1) // LANES * LANES


def _vector(context: Any, element: Any) -> Any:
    return ir.VectorType(context.get_value_type(element), LANES)


def _splat(builder: Any, vector: Any, value: Any) -> Any:
    result = ir.Constant(vector, ir.Undefined)
    for lane in range(LANES):
        result = builder.insert_element(result, value, ir.Constant(ir.IntType(32), lane))
    return result


def _sum(builder: Any, vector: Any) -> Any:
    undefined = ir.Constant(vector.type, ir.Undefined)
    width = LANES
    while width > 1:
        width //= 2
        index = ir.VectorType(ir.IntType(32), width)
        low = builder.shuffle_vector(vector, undefined, ir.Constant(index, list(range(width))))
        high = ir.Constant(index, list(range(width, 2 * width)))
        vector = builder.fadd(low, builder.shuffle_vector(vector, undefined, high))
        undefined = ir.Constant(vector.type, ir.Undefined)
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


def _for_each_vector(
    context: Any, builder: Any, arrays: list[tuple[Any, Any]], body: Callable[..., None]
) -> None:
    """Calls body(pointers, alignments) in a loop over the arrays, which have one length."""
    views = [context.make_array(kind)(context, builder, value) for kind, value in arrays]
    length = builder.extract_value(views[0].shape, 0)
    zero, step = ir.Constant(length.type, 0), ir.Constant(length.type, LANES)
    with cgutils.for_range_slice(builder, zero, length, step, intp=length.type) as (i, _):
        pointers = [
            builder.bitcast(builder.gep(view.data, [i]), _vector(context, kind.dtype).as_pointer())
            for view, (kind, _) in zip(views, arrays, strict=True)
        ]
        # Windows of a history begin anywhere: aligned to an element, not to a vector.
        body(pointers, [kind.dtype.bitwidth // 8 for kind, _ in arrays])


@intrinsic
def dot(_typing: Any, a: Any, b: Any) -> Any:
    """Returns the sum of a[i] * b[i]; both float32 or both float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zeros = ir.Constant(_vector(context, a.dtype), [0.0] * LANES)
        total = cgutils.alloca_once_value(builder, zeros)

        def body(pointers: Any, aligned: Any) -> None:
            left, right = map(builder.load, pointers, ("", ""), aligned)
            builder.store(builder.fadd(builder.load(total), builder.fmul(left, right)), total)

        _for_each_vector(context, builder, list(zip(signature.args, arguments, strict=True)), body)
        return _sum(builder, builder.load(total))

    return a.dtype(a, b), generate


@intrinsic
def scale_and_add(_typing: Any, y: Any, decay: Any, scale: Any, x: Any) -> Any:
    """Y = decay * y + scale * x, all float32 or all float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = _vector(context, y.dtype)
        old_factor, new_factor = (_splat(builder, vector, arguments[k]) for k in (1, 2))

        def body(pointers: Any, aligned: Any) -> None:
            old, new = map(builder.load, pointers, ("", ""), aligned)
            total = builder.fadd(builder.fmul(old_factor, old), builder.fmul(new_factor, new))
            builder.store(total, pointers[0], align=aligned[0])

        arrays = [(signature.args[k], arguments[k]) for k in (0, 3)]
        _for_each_vector(context, builder, arrays, body)
        return context.get_dummy_value()

    return types.none(y, y.dtype, y.dtype, x), generate


@intrinsic
def dot_and_add(_typing: Any, row: Any, x: Any, scale: Any, y: Any) -> Any:
    """Returns the sum of row[i] * x[i], and y += scale * row: a symmetric matrix times a vector.

    `row` is float32, read once for both; x, scale and y are float64.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = _vector(context, types.float64)
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * LANES))
        factor = _splat(builder, vector, arguments[2])

        def body(pointers: Any, aligned: Any) -> None:
            narrow, right, old = map(builder.load, pointers, ("", "", ""), aligned)
            left = builder.fpext(narrow, vector)
            builder.store(builder.fadd(builder.load(total), builder.fmul(left, right)), total)
            new = builder.fadd(old, builder.fmul(factor, left))
            builder.store(new, pointers[2], align=aligned[2])

        arrays = [(signature.args[k], arguments[k]) for k in (0, 1, 3)]
        _for_each_vector(context, builder, arrays, body)
        return _sum(builder, builder.load(total))

    return types.float64(row, x, types.float64, y), generate


@intrinsic
def add_rows(_typing: Any, y: Any, x: Any, matrix: Any) -> Any:
    """Y += x[0] * matrix[0] + x[1] * matrix[1] + ..., one after the other; all float32.

    `matrix` is [x.size, y.size], contiguous. Sums stay in registers: a loop over `scale_and_add`
    would load and store y for each row.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        views = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args, arguments, strict=True)
        ]
        sums, inputs, rows = (view.data for view in views)
        width, count = (builder.extract_value(view.shape, 0) for view in views[:2])
        vector = _vector(context, y.dtype)

        def column(start: Any, vectors: int) -> None:
            def at(data: Any, offset: Any, index: int) -> Any:
                place = builder.add(offset, ir.Constant(offset.type, index * LANES))
                return builder.bitcast(builder.gep(data, [place]), vector.as_pointer())

            totals = [
                cgutils.alloca_once_value(builder, builder.load(at(sums, start, v), align=4))
                for v in range(vectors)
            ]
            with cgutils.for_range(builder, count, intp=count.type) as loop:
                factor = _splat(builder, vector, builder.load(builder.gep(inputs, [loop.index])))
                offset = builder.add(builder.mul(loop.index, width), start)
                for v, total in enumerate(totals):
                    row = builder.load(at(rows, offset, v), align=4)
                    added = builder.fadd(builder.load(total), builder.fmul(factor, row))
                    builder.store(added, total)
            for v, total in enumerate(totals):
                builder.store(builder.load(total), at(sums, start, v), align=4)

        # Wide columns first, then what is left: how many at a time changes no sum.
        done = ir.Constant(width.type, 0)
        for vectors in (8, 4, 2, 1):
            step = ir.Constant(width.type, vectors * LANES)
            end = builder.sub(width, builder.urem(width, step))
            with cgutils.for_range_slice(builder, done, end, step, intp=width.type) as (i, _):
                column(i, vectors)
            done = end
        return context.get_dummy_value()

    return types.none(y, x, matrix), generate
