"""What a run that goes on may change, and what hosts must agree upon."""

import pytest

from training.checkpoints.compatibility import check_alike, check_same
from training.metrics.accumulator import TrainingError

SAVED = {"learning_rate": 0.1, "embedding_dim": 8, "audio": "5 files"}


def test_what_differs_is_told_and_may_be_allowed():
    now = {**SAVED, "learning_rate": 0.2, "audio": "6 files"}
    message = r"audio was 5 files, is 6 files; learning_rate was 0\.1, is 0\.2\. Expected .* or "
    with pytest.raises(TrainingError, match=message + "--allow_change=audio,learning_rate; or"):
        check_same(SAVED, now, [])
    with pytest.raises(TrainingError, match=r"settings: learning_rate was 0\.1, is 0\.2\. Exp"):
        check_same(SAVED, now, ["audio"])
    check_same(SAVED, now, ["audio", "learning_rate"])


@pytest.mark.parametrize("allowed", [[], ["embedding_dim"]])
def test_a_trained_model_does_not_change_its_shape(allowed):
    with pytest.raises(TrainingError, match="embedding_dim was 8, is 16") as error:
        check_same(SAVED, {**SAVED, "embedding_dim": 16}, allowed)
    assert "--allow_change" not in str(error.value)
    assert "to go on with it; or --fresh" in str(error.value)


def test_a_change_that_does_not_exist():
    with pytest.raises(TrainingError, match="--allow_change=learning: expected some of audio, "):
        check_same(SAVED, SAVED, ["learning"])


def test_hosts_that_differ():
    check_alike([SAVED, SAVED])
    with pytest.raises(TrainingError, match=r"hosts 0 and 2 differ: audio is 5 files and none\."):
        check_alike([SAVED, SAVED, {**SAVED, "audio": "none"}])
