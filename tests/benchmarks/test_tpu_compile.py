"""What accelerators are given compiles, asked of their compilers, without one.

libtpu's compiler is told of a topology; for a GPU the steps are lowered, up to where its compiler
would begin.
"""

import importlib.util
from typing import Any

import jax
import pytest

from benchmarks.tpu_compile import (
    MEMORY_GIB,
    SETTINGS,
    abstract_steps,
    estimated_cycles,
    run_row,
)

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="needs libtpu: pip install -e '.[tpu]'"
)

SMALL = ("--batch_size=4", "--chunk_size=300", "--embedding_dim=8", "--num_heads=2")


@needs_libtpu
@pytest.mark.slow
@pytest.mark.parametrize("chip", ["v5e", "v5p"])
def test_the_defaults_compile_for_a_tpu_and_fit(chip: str) -> None:
    flags, topologies = SETTINGS["defaults"]
    steps = run_row(flags, topologies[chip])
    assert not isinstance(steps, str), steps
    # Far below what a chip has: 0.5 GiB were seen.
    assert 0 < steps["eval"]["bytes"] < steps["train"]["bytes"] < MEMORY_GIB[chip] * 2**30 / 10
    # Of the gradients, with the nats; of the number of samples; of the flags.
    assert 1 <= steps["train"]["all_reduces"] <= 4
    assert 0 < steps["eval"]["cycles"] < steps["train"]["cycles"]


@needs_libtpu
@pytest.mark.slow
def test_what_does_not_compile_says_so() -> None:
    reason = run_row([*SMALL, "--batch_size=3"], "v5e:2x2")
    assert isinstance(reason, str) and "--batch_size=3 must be divisible" in reason


@pytest.mark.parametrize("flags", [["--bit_depth=8"], ["--bit_depth=16", "--dtype=bfloat16"]])
def test_the_steps_are_lowered_for_a_gpu(flags: list[str]) -> None:
    steps, shapes = abstract_steps([*SMALL, *flags], "gpu", None)
    arguments: dict[Any, Any] = {
        steps.train: (shapes.state, shapes.train_batch, shapes.flags),
        steps.eval: (shapes.state.params, shapes.eval_batch, shapes.flags),
    }
    for step, given in arguments.items():
        lowered = jax.jit(step).trace(*given).lower(lowering_platforms=("cuda",))
        assert "stablehlo.while" in lowered.as_text()


def test_estimates_of_loops_are_multiplied() -> None:
    program = """
%condition.1 (state: (s32[])) -> pred[] {
  %limit = s32[]{:T(128)} constant(36)
  ROOT %less = pred[] compare(%element, %limit), direction=LT
}

%body.1 (state: (s32[])) -> (s32[]) {
  ROOT %dot = f32[8] fusion(%a), kind=kLoop, backend_config={"estimated_cycles":"10"}
}

%condition.2 (state: (s32[])) -> pred[] {
  %limit = s32[] constant(2)
}

%body.2 (state: (s32[])) -> (s32[]) {
  %copy = f32[8] copy(%a), backend_config={"estimated_cycles":"5"}
  ROOT %loop = (s32[]) while(%copy), condition=%condition.1, body=%body.1
}

ENTRY %main.3 (a: f32[8]) -> f32[8] {
  %first = f32[8] copy(%a), backend_config={"estimated_cycles":"1"}
  ROOT %loop = (s32[]) while(%first), condition=%condition.2, body=%body.2
}
"""
    assert estimated_cycles(program) == 1 + 2 * (5 + 36 * 10)
