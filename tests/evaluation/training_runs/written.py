"""Files such as training writes them."""

import json
import math

import numpy as np

from models.model_file import save_model

TRAIN = "train/bits_per_sample"


def write_metrics(run, records):
    """Writes the metrics of a run, and those of the clock: in each file a line a record."""
    for suffix, is_of_clock in (("metrics", False), ("timing", True)):
        chosen = [
            (step, {k: x for k, x in metrics.items() if (k == "wall_time_s") == is_of_clock})
            for step, metrics in records
        ]
        lines = [json.dumps({"step": step} | _json(metrics)) for step, metrics in chosen if metrics]
        run.with_name(f"{run.name}_{suffix}.jsonl").write_text("".join(f"{x}\n" for x in lines))
    return run


def metrics_path(run):
    """Returns the path of the metrics of a run, `folder / model`."""
    return run.with_name(f"{run.name}_metrics.jsonl")


def _json(metrics):
    """JSON has no NaN and no infinity: they are strings, as training writes them."""
    return {
        name: value if math.isfinite(value) else str(value).replace("inf", "Infinity")
        for name, value in metrics.items()
    }


def write_run(folder, model="audio_model", flags="--seed=1\n", records=((1, {TRAIN: 3.0}),)):
    """Writes what training leaves, but for the model."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / f"{model}.flags").write_text(flags)
    write_metrics(folder / model, records)
    return folder


def write_model(folder, model, metrics):
    """Writes a model file."""
    training = {"steps": 20, "metrics": metrics}
    params = {"weights": np.zeros(9, np.float32)}
    save_model(folder / f"{model}.npz", params, model={}, data={}, training=training)
