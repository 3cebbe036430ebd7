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
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, register_jitable
from numba.np.arrayobj import populate_array

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
def as_matrix(_typing: Any, vector: Any, width: Any) -> Any:
    """Returns a view of a vector as rows of some width; `reshape` would need numba's runtime."""
    matrix = types.Array(vector.dtype, 2, "C")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        columns = arguments[1]
        rows = builder.udiv(builder.extract_value(view.shape, 0), columns)
        item = ir.Constant(
            columns.type, context.get_abi_sizeof(context.get_data_type(vector.dtype))
        )
        result = context.make_array(matrix)(context, builder)
        populate_array(
            result,
            data=view.data,
            shape=(rows, columns),
            strides=(builder.mul(columns, item), item),
            itemsize=item,
            meminfo=view.meminfo,
            parent=view.parent,
        )
        return impl_ret_borrowed(context, builder, matrix, result._getvalue())

    return matrix(vector, types.intp), generate


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
def add_scaled(_typing: Any, y: Any, scale: Any, x: Any) -> Any:
    """Y += scale * x, all float32 or all float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        factor = _splat(builder, _vector(context, y.dtype), arguments[1])

        def body(pointers: Any, aligned: Any) -> None:
            old, new = map(builder.load, pointers, ("", ""), aligned)
            total = builder.fadd(old, builder.fmul(factor, new))
            builder.store(total, pointers[0], align=aligned[0])

        arrays = [(signature.args[k], arguments[k]) for k in (0, 2)]
        _for_each_vector(context, builder, arrays, body)
        return context.get_dummy_value()

    return types.none(y, y.dtype, x), generate


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
def add_rows(_typing: Any, y: Any, x: Any, rows: Any, count: Any, matrix: Any) -> Any:
    """Y += x[0] * matrix[rows[0]] + x[1] * matrix[rows[1]] + ..., one after the other.

    `matrix` is float32 [.., y.size], contiguous; x and rows, int64, have `count` entries or more.
    Sums stay in registers: a loop over `scale_and_add` would load and store y for each row.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, inputs, chosen, data = (
            context.make_array(signature.args[k])(context, builder, arguments[k])
            for k in (0, 1, 2, 4)
        )
        width = builder.extract_value(sums.shape, 0)
        vector = _vector(context, y.dtype)

        def at(array: Any, offset: Any, index: int) -> Any:
            place = builder.add(offset, ir.Constant(offset.type, index * LANES))
            return builder.bitcast(builder.gep(array.data, [place]), vector.as_pointer())

        def columns(start: Any, vectors: int) -> None:
            totals = [
                cgutils.alloca_once_value(builder, builder.load(at(sums, start, v), align=4))
                for v in range(vectors)
            ]
            with cgutils.for_range(builder, arguments[3], intp=width.type) as loop:
                value = builder.load(builder.gep(inputs.data, [loop.index]))
                factor = _splat(builder, vector, value)
                row = builder.load(builder.gep(chosen.data, [loop.index]))
                offset = builder.add(builder.mul(row, width), start)
                for v, total in enumerate(totals):
                    weights = builder.load(at(data, offset, v), align=4)
                    added = builder.fadd(builder.load(total), builder.fmul(factor, weights))
                    builder.store(added, total)
            for v, total in enumerate(totals):
                builder.store(builder.load(total), at(sums, start, v), align=4)

        # Wide columns first, then what is left: how many at a time changes no sum.
        done = ir.Constant(width.type, 0)
        for vectors in (8, 4, 2, 1):
            step = ir.Constant(width.type, vectors * LANES)
            end = builder.sub(width, builder.urem(width, step))
            with cgutils.for_range_slice(builder, done, end, step, intp=width.type) as (i, _):
                columns(i, vectors)
            done = end
        return context.get_dummy_value()

    return types.none(y, x, rows, types.int64, matrix), generate


@intrinsic
def add_outer(_typing: Any, matrix: Any, rows: Any, count: Any, scale: Any, x: Any, y: Any) -> Any:
    """matrix[rows[i]] += (scale * x[i]) * y for i < count; all float32, rows int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, chosen, inputs, outputs = (
            context.make_array(signature.args[k])(context, builder, arguments[k])
            for k in (0, 1, 4, 5)
        )
        width = builder.extract_value(outputs.shape, 0)
        vector = _vector(context, y.dtype)
        zero, step = ir.Constant(width.type, 0), ir.Constant(width.type, LANES)

        def at(array: Any, offset: Any) -> Any:
            return builder.bitcast(builder.gep(array.data, [offset]), vector.as_pointer())

        with cgutils.for_range_slice(builder, zero, width, step, intp=width.type) as (start, _):
            column = builder.load(at(outputs, start), align=4)
            with cgutils.for_range(builder, arguments[2], intp=width.type) as loop:
                value = builder.load(builder.gep(inputs.data, [loop.index]))
                factor = _splat(builder, vector, builder.fmul(arguments[3], value))
                row = builder.load(builder.gep(chosen.data, [loop.index]))
                place = at(data, builder.add(builder.mul(row, width), start))
                added = builder.fadd(builder.load(place, align=4), builder.fmul(factor, column))
                builder.store(added, place, align=4)
        return context.get_dummy_value()

    return types.none(matrix, rows, types.int64, types.float32, x, y), generate
