"""Metrics as lines of the log."""

from collections.abc import Callable, Mapping, Sequence

from runtime.formatting import format_count

_FIELDS: Sequence[tuple[str, Callable[[float], str]]] = (
    ("train/loss", lambda x: f"loss {x:6.4f}"),  # In nats per sample.
    ("train/bits_per_sample", lambda x: f"{x:7.4f} bits/sample"),
    ("train/compression_ratio", lambda x: f"ratio {x:6.4f}"),  # Of compressed to raw bits.
    ("train/grad_norm", lambda x: f"grad {x:5.3g}"),
    ("train/learning_rate", lambda x: f"lr {x:8.2e}"),
    ("train/samples_per_second", lambda x: f"{format_count(x):>5} samples/s"),
    ("train/input_wait_fraction", lambda x: f"wait {x:3.0%}"),
    ("valid/loss", lambda x: f"valid loss {x:6.4f}"),
    ("valid/bits_per_sample", lambda x: f"valid {x:7.4f} bits/sample"),
    ("valid/compression_ratio", lambda x: f"valid ratio {x:6.4f}"),
)


def format_metrics(step: int, total: int, metrics: Mapping[str, float]) -> str:
    """Returns one line, its columns aligned with those of other lines.

    Args:
      step: steps done.
      total: steps of the whole run.
      metrics: values by name; names that are not in _FIELDS are left out.
    """
    fields = [show(float(metrics[name])) for name, show in _FIELDS if name in metrics]
    return " | ".join([f"step {step:>{len(str(total))}}/{total}", *fields])
