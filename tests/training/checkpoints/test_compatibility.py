"""What a run that is resumed may change, and what hosts must have in common."""

import dataclasses
import re

import jax
import pytest

from models.config import AdaptiveModelConfig
from models.predictors.config import AdaptivePredictorsConfig, ChainConfig, LeastSquaresConfig
from models.predictors.sets import BEST
from runtime.errors import TrainingError
from training.checkpoints.checkpoint_file import Checkpoint
from training.checkpoints.compatibility import (
    check_hosts_agree,
    check_resumable,
    is_same_run,
    model_settings,
)


@dataclasses.dataclass(frozen=True)
class _Network:
    kind: str = "transformer"
    embedding_dim: int = 8
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True)
class _Config:
    depth: int = 8
    network: _Network = _Network()


CONFIG = _Config()
FEW = AdaptivePredictorsConfig(
    chains=tuple(ChainConfig(head=LeastSquaresConfig(taps=taps)) for taps in (8, 16))
)
SAVED = {
    "learning_rate": 0.1,
    "training_steps": 100,
    "audio": "5 files",
    **model_settings(CONFIG),
}
UNFINISHED = Checkpoint(50, {}, {"run": {"settings": SAVED}})
FINISHED = UNFINISHED._replace(step=100)


def test_settings_of_a_model_have_the_names_of_flags():
    assert model_settings(CONFIG) == {
        "depth": 8,
        "network": "transformer",
        "embedding_dim": 8,
        "dtype": "float32",
    }


def test_a_name_that_two_parts_have_is_told_apart():
    settings = model_settings(AdaptiveModelConfig())
    assert settings["predictors"] == "adaptive" and settings["network"] == "mlp"
    assert settings["depth"] == 16
    leaves = jax.tree.leaves(dataclasses.asdict(AdaptiveModelConfig(predictors=FEW)))
    found = jax.tree.leaves(model_settings(AdaptiveModelConfig(predictors=FEW)))
    assert sorted(map(str, found)) == sorted(map(str, leaves))


def test_predictors_that_differ_are_one_short_line():
    before, now = (
        {**SAVED, **model_settings(AdaptiveModelConfig(predictors=predictors))}
        for predictors in (dataclasses.replace(BEST, long_term=FEW.long_term), FEW)
    )
    start = UNFINISHED._replace(metadata={"run": {"settings": before}})
    with pytest.raises(TrainingError, match=r"chains was best, is 2 others \(\w{6}\)\.") as error:
        check_resumable(start, now, [], AdaptiveModelConfig(predictors=FEW))
    assert len(str(error.value)) < 300


def test_what_differs_is_named_and_may_be_allowed():
    now = {**SAVED, "learning_rate": 0.2, "audio": "6 files"}
    message = r"audio was 5 files, is 6 files; learning_rate was 0\.1, is 0\.2\. Expected .* or "
    with pytest.raises(TrainingError, match=message + "--allow_change=audio,learning_rate; or"):
        check_resumable(UNFINISHED, now, [], CONFIG)
    with pytest.raises(TrainingError, match=r"settings: learning_rate was 0\.1, is 0\.2\. Exp"):
        check_resumable(UNFINISHED, now, ["audio"], CONFIG)
    check_resumable(UNFINISHED, now, ["audio", "learning_rate"], CONFIG)


@pytest.mark.parametrize("allowed", [[], ["embedding_dim"]])
def test_a_trained_model_does_not_change_its_shape(allowed):
    with pytest.raises(TrainingError, match="embedding_dim was 8, is 16") as error:
        check_resumable(UNFINISHED, {**SAVED, "embedding_dim": 16}, allowed, CONFIG)
    assert "--allow_change" not in str(error.value)
    assert "the same settings to resume it; or --fresh" in str(error.value)


def test_a_trained_model_may_compute_in_another_dtype():
    now = {**SAVED, "dtype": "bfloat16"}
    with pytest.raises(
        TrainingError, match=r"dtype was float32, is bfloat16.* --allow_change=dtype"
    ):
        check_resumable(UNFINISHED, now, [], CONFIG)
    check_resumable(UNFINISHED, now, ["dtype"], CONFIG)


def test_a_change_that_does_not_exist():
    with pytest.raises(TrainingError, match="--allow_change=learning: expected some of audio, "):
        check_resumable(UNFINISHED, SAVED, ["learning"], CONFIG)


@pytest.mark.parametrize(
    ("start", "changes", "is_same", "refused"),
    [
        (FINISHED, {}, True, None),
        (FINISHED, {"training_steps": 200}, True, None),
        (FINISHED, {"training_steps": 50}, True, "has done 100 steps already"),
        (FINISHED, {"learning_rate": 0.2}, False, None),
        (FINISHED, {"learning_rate": 0.2, "training_steps": 50}, False, None),
        (FINISHED, {"learning_rate": 0.2, "training_steps": 200}, True, "learning_rate was 0.1"),
        (UNFINISHED, {"training_steps": 200}, True, "training_steps was 100, is 200"),
        (UNFINISHED, {"learning_rate": 0.2}, True, "learning_rate was 0.1"),
    ],
)
def test_whether_a_run_goes_on(start, changes, is_same, refused):
    now = {**SAVED, **changes}
    assert is_same_run(start, now, []) == is_same
    if refused:
        with pytest.raises(TrainingError, match=re.escape(refused)):
            check_resumable(start, now, [], CONFIG)
    elif is_same:
        check_resumable(start, now, [], CONFIG)


def test_fewer_steps_than_are_done_even_if_they_may_change():
    now = {**SAVED, "training_steps": 40}
    with pytest.raises(TrainingError, match="--training_steps=40: the run here has done 50 steps"):
        check_resumable(UNFINISHED, now, ["training_steps"], CONFIG)
    check_resumable(UNFINISHED, {**SAVED, "training_steps": 60}, ["training_steps"], CONFIG)


def test_hosts_that_differ():
    check_hosts_agree([SAVED, SAVED])
    with pytest.raises(TrainingError, match=r"hosts 0 and 2 differ: audio is 5 files and none\."):
        check_hosts_agree([SAVED, SAVED, {**SAVED, "audio": "none"}])
