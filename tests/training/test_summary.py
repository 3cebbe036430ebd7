"""The table at the end of a run."""

from pipeline.config import PipelineConfig
from runtime.cluster import DistributedConfig
from training.config import CheckpointConfig, RunConfig, TrainingConfig
from training.result import Result
from training.summary import summary


def _summary(output_dir, init_from=None, **fields):
    config = RunConfig(
        audio_dirs=(),
        demo=True,
        catalogue=None,
        valid_fraction=0.1,
        num_chunks=1,
        parallel_reads=0,
        strict=False,
        max_skipped_fraction=0.5,
        data_service=None,
        pipeline=PipelineConfig(),
        training=TrainingConfig(training_steps=1),
        checkpoint=CheckpointConfig(),
        distributed=DistributedConfig(),
        output_dir=str(output_dir),
        model_name="m",
        wandb_project=None,
        wandb_run_name="",
        init_from=init_from,
    )
    result = {"steps": 1, "train": {}, "valid": {}, "valid_step": -1, "signal": None, **fields}
    result = {"initial_bits_per_sample": None, **result}
    result = Result(params={}, failure=None, wall_time_s=3.0, **result)
    return dict(summary(config, result, None, 0))


def test_the_files_of_a_run(tmp_path):
    for name in ("m.npz", "m.flags", "m_training.log", "m_curves.png", "tensorboard"):
        (tmp_path / name).touch()
    rows = _summary(tmp_path)
    assert rows["curves"] == (
        f"{tmp_path}/m_curves.png, or tensorboard --logdir={tmp_path}/tensorboard"
    )
    assert rows["model"] == f"{tmp_path}/m.npz" and rows["next"].endswith(f"={tmp_path}/m.npz")
    assert rows["this run again"].endswith("m.flags") and rows["log"].endswith("m_training.log")


def test_what_could_not_be_written_is_not_named(tmp_path):
    rows = _summary(tmp_path)
    assert rows.keys() == {"steps", "skipped files", "time"}
    (tmp_path / "tensorboard").mkdir()
    assert _summary(tmp_path)["curves"] == f"tensorboard --logdir={tmp_path}/tensorboard"


def test_what_fine_tuning_has_brought(tmp_path):
    names = ("bits_per_sample", "samples", "order0_bits_per_sample")
    valid = {f"valid/{name}": 1.9 for name in names}
    before = _summary(tmp_path, valid=valid)
    assert "initial model" not in before and " the model has not seen" in before["validation"]
    rows = _summary(tmp_path, "best", valid=valid, initial_bits_per_sample=2.0)
    assert rows["initial model"] == "2.0000 bits per sample of the same, -5.00% since"
    assert "(the initial model may have been trained on them)" in rows["validation"]
    assert "warning" not in rows


def test_fine_tuning_that_makes_it_worse_is_a_warning(tmp_path):
    names = ("bits_per_sample", "samples", "order0_bits_per_sample")
    valid = {f"valid/{name}": 2.1 for name in names}
    rows = _summary(tmp_path, "/runs/a.npz", valid=valid, initial_bits_per_sample=2.0)
    assert rows["initial model"] == "2.0000 bits per sample of the same, +5.00% since"
    assert rows["warning"].startswith("worse than the initial model: train longer, or with a lower")
    assert rows["warning"].endswith("the initial model is /runs/a.npz")


def test_a_validation_before_the_last_step_says_so(tmp_path):
    names = ("bits_per_sample", "samples", "order0_bits_per_sample")
    valid = {f"valid/{name}": 2.0 for name in names}
    last, earlier = (
        _summary(tmp_path, steps=2100, valid=valid, valid_step=step)["validation"]
        for step in (2100, 2000)
    )
    assert earlier == f"{last}, at step 2,000"
