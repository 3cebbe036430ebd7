"""Where metrics go, and that nothing there ends or holds up a run."""

import glob
import json
import os
import resource
import textwrap
import time

import pytest

from training.metrics.jsonl import JsonlWriter, Position
from training.metrics.tensorboard import TensorBoardWriter
from training.metrics.wandb import WandbWriter
from training.metrics.writers import MultiWriter, make_writers


@pytest.fixture(autouse=True)
def _log(caplog):
    caplog.set_level("INFO", logger="wavestream")


def _messages(caplog, level="WARNING"):
    return [r.getMessage() for r in caplog.records if r.levelname == level]


def _lines(path):
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def test_jsonl(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2):  # the second appends
        writer = JsonlWriter(path)
        writer.write(step, {"train/loss": 0.1 + step})
        assert len(_lines(path)) == step  # before close: a killed run keeps it
        writer.close()
    assert _lines(path) == [{"step": 1, "train/loss": 1.1}, {"step": 2, "train/loss": 2.1}]


def test_jsonl_without_nan(tmp_path):
    writer = JsonlWriter(tmp_path / "m.jsonl")
    writer.write(1, {"a": float("nan"), "b": float("inf"), "c": float("-inf")})
    writer.close()
    assert _lines(tmp_path / "m.jsonl") == [
        {"step": 1, "a": "NaN", "b": "Infinity", "c": "-Infinity"}
    ]


def test_jsonl_on_a_full_disk_keeps_whole_lines(tmp_path, caplog):
    path = tmp_path / "m.jsonl"
    writer = MultiWriter([JsonlWriter(path)])
    writer.write(1, {"a": 1.0})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, hard))
    try:
        writer.write(2, {"a": 2.0})
        writer.write(3, {"a": 3.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.write(4, {"a": 4.0})
    writer.close()
    assert _lines(path) == [{"step": step, "a": float(step)} for step in (1, 2, 3, 4)]
    warning, again = _messages(caplog)
    assert "JsonlWriter" in warning and "m.jsonl" in warning
    assert again == "JsonlWriter: metrics are written again"


@pytest.mark.parametrize("name", ["tensorboard", "[b]*?\\", os.fsdecode(b"\xff")])
def test_tensorboard(tmp_path, name):
    writer = TensorBoardWriter(tmp_path / name)
    writer.write(1, {"train/loss": 0.5, "train/input_wait_fraction": 0.25})
    writer.write(2, {"train/loss": 0.125})
    writer.close()
    assert _events(tmp_path / name) == [
        (1, "train/loss", 0.5),
        (1, "train/input_wait_fraction", 0.25),
        (2, "train/loss", 0.125),
    ]


def test_tensorboard_on_a_full_disk_loses_nothing(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    writer.write(1, {"train/loss": 1.0})
    (path,) = tmp_path.iterdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, hard))
    try:
        for step in (2, 3):
            with pytest.raises(OSError, match="No space left"):
                writer.write(step, {"train/loss": step})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.write(4, {"train/loss": 4.0})
    writer.close()
    assert _events(tmp_path) == [(step, "train/loss", float(step)) for step in (1, 2, 3, 4)]


def _events(folder):
    """What is in the event file of a folder, read by TensorFlow, which checks the checksums."""
    tf = pytest.importorskip("tensorflow")
    (name,) = os.listdir(folder)
    path = os.fsencode(folder / name)
    seen = []
    for record in tf.data.TFRecordDataset([path]).as_numpy_iterator():
        event = tf.compat.v1.Event.FromString(record)
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            seen.append((event.step, value.tag, float(tf.make_ndarray(value.tensor))))
    return seen


class _Failing:
    def write(self, step, metrics):
        raise RuntimeError("no disk")

    close = None  # calling it raises too


def test_one_failing_writer_is_one_warning_and_the_others_go_on(tmp_path, caplog):
    path = tmp_path / "m.jsonl"
    writer = MultiWriter([_Failing(), JsonlWriter(path)])
    for step in (1, 2):
        writer.write(step, {"a": 1.0})
    writer.close()
    assert _messages(caplog) == ["_Failing: metrics are not written: no disk"]
    assert [line["step"] for line in _lines(path)] == [1, 2]


def test_a_file_is_taken_back_to_where_it_was(tmp_path):
    writer = JsonlWriter(tmp_path / "m.jsonl")
    writer.write(1, {"a": 1.0})
    position = json.loads(json.dumps(writer.position()))
    writer.write(2, {"a": 2.0})
    writer.close()
    writer = JsonlWriter(tmp_path / "m.jsonl")
    writer.rewind(Position(*position))
    writer.write(2, {"a": 3.0})
    writer.close()
    assert [line["a"] for line in _lines(tmp_path / "m.jsonl")] == [1, 3]


def test_a_file_of_another_run_is_left_as_it_is(tmp_path, caplog):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        writer = MultiWriter([JsonlWriter(tmp_path / name / "m.jsonl")])
        writer.write(1, {name: 1.0})
        position = writer.position()
        writer.close()
    before = (tmp_path / "one" / "m.jsonl").read_bytes()
    other = MultiWriter([JsonlWriter(tmp_path / "one" / "m.jsonl")])
    other.rewind(position)
    other.close()
    assert (tmp_path / "one" / "m.jsonl").read_bytes() == before
    assert "was changed by someone else" in _messages(caplog)[0]


def _make_writers(folder):
    names = {"wandb_project": None, "wandb_run_name": "", "wandb_id": ""}
    return make_writers(str(folder), "model", **names, config={})


def test_the_clock_has_a_file_of_its_own(tmp_path):
    writer = make_writers(
        str(tmp_path), "model", wandb_project=None, wandb_run_name="", wandb_id="", config={}
    )
    writer.write(3, {"wall_time_s": 2.0, "train/loss": 1.0, "train/input_wait_fraction": 0.5})
    writer.close()
    assert _lines(tmp_path / "model_metrics.jsonl") == [{"step": 3, "train/loss": 1.0}]
    assert _lines(tmp_path / "model_timing.jsonl") == [
        {"step": 3, "wall_time_s": 2.0, "train/input_wait_fraction": 0.5}
    ]


def test_make_writers(tmp_path):
    writer = make_writers(
        str(tmp_path), "model", wandb_project=None, wandb_run_name="", wandb_id="", config={}
    )
    writer.write(3, {"valid/loss": 1.0})
    writer.close()
    assert _lines(tmp_path / "model_metrics.jsonl") == [{"step": 3, "valid/loss": 1.0}]
    assert glob.glob(f"{tmp_path}/tensorboard/model/events*")


def test_make_writers_names_what_it_cannot_open(tmp_path, caplog):
    (tmp_path / "model_metrics.jsonl").mkdir()
    (tmp_path / "tensorboard").write_text("a file")
    writer = make_writers(
        str(tmp_path), "model", wandb_project=None, wandb_run_name="", wandb_id="", config={}
    )
    writer.write(1, {"a": 1.0})
    writer.close()
    jsonl, tensorboard = _messages(caplog)
    assert "model_metrics.jsonl" in jsonl and "tensorboard" in tensorboard


_FAKE_WANDB = """
    import json, os, time

    class _Summary:
        def update(self, metrics):
            CALLS("summary", metrics)

    class _Run:
        summary = _Summary()

        def __init__(self, mode, directory):
            self.url = "https://wandb/run" if mode == "online" else None
            self.dir = os.path.join(directory, "offline-run", "files")

        def log(self, metrics, step):
            CALLS("log", step, metrics)
            ON_LOG

        def finish(self):
            ON_FINISH
            CALLS("finish")

    def CALLS(*call):
        with open(os.environ["FAKE_WANDB_CALLS"], "a") as file:
            print(json.dumps(call), file=file)

    def init(*, project, name, id, resume, config, dir, settings, mode="online"):
        CALLS("init", project, name, id, resume, config, mode)
        if mode == "online":
            ON_INIT
        ON_ANY_INIT
        return _Run(mode, dir)

    ON_IMPORT
"""


@pytest.fixture
def fake_wandb(tmp_path, monkeypatch):
    """Installs a fake wandb, `wandb(ON_LOG="raise ...")`; returns what reads its calls."""

    def install(**behaviour):
        source = textwrap.dedent(_FAKE_WANDB)
        for place in ("ON_LOG", "ON_FINISH", "ON_INIT", "ON_ANY_INIT", "ON_IMPORT"):
            source = source.replace(place, behaviour.get(place, "pass"))
        (tmp_path / "wandb.py").write_text(source)
        calls = tmp_path / "calls.jsonl"
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("FAKE_WANDB_CALLS", str(calls))
        return lambda: _lines(calls) if calls.exists() else []

    return install


def _run_wandb(tmp_path, start_seconds=10.0, close_seconds=10.0, summary=None):
    """A run of two steps. Returns the seconds it spent in writing and in closing."""
    start = time.monotonic()
    writer = WandbWriter(
        "project",
        "name",
        {"seed": 42},
        tmp_path,
        run_id="1a2b3c4d",
        summary=summary,
        start_seconds=start_seconds,
        close_seconds=close_seconds,
    )
    writer.write(1, {"train/loss": 3.0})
    writer.write(2, {"train/loss": 2.0})
    written = time.monotonic()
    writer.close()
    return written - start, time.monotonic() - written


INIT = ["init", "project", "name", "1a2b3c4d", "allow", {"seed": 42}, "online"]
OFFLINE = [*INIT[:-1], "offline"]
LOGS = [["log", 1, {"train/loss": 3.0}], ["log", 2, {"train/loss": 2.0}]]


def test_wandb(tmp_path, fake_wandb, caplog):
    calls = fake_wandb()
    _run_wandb(tmp_path)
    assert calls() == [INIT, *LOGS, ["finish"]]
    assert _messages(caplog) == []
    assert _messages(caplog, "INFO") == ["wandb: https://wandb/run"]


def test_wandb_is_told_what_was_measured_before_it_was_resumed(tmp_path, fake_wandb):
    calls = fake_wandb()
    _run_wandb(tmp_path, summary={"valid/loss": 2.5})
    assert calls() == [INIT, ["summary", {"valid/loss": 2.5}], *LOGS, ["finish"]]


def test_wandb_that_prints_or_asks_is_neither_heard_nor_answered(tmp_path, fake_wandb, caplog):
    calls = fake_wandb(ON_INIT="print('noise', flush=True); CALLS('asked', os.read(0, 9).decode())")
    _run_wandb(tmp_path)
    assert calls() == [INIT, ["asked", ""], *LOGS, ["finish"]]
    assert _messages(caplog) == []


def test_wandb_that_cannot_start_records_offline(tmp_path, fake_wandb, caplog):
    calls = fake_wandb(ON_INIT="raise OSError('no network\\nmore')")
    _run_wandb(tmp_path)
    assert calls() == [INIT, OFFLINE, *LOGS, ["finish"]]
    (warning,) = _messages(caplog)
    assert warning == (
        "wandb cannot start (no network) and records offline; to upload: "
        f"wandb sync {tmp_path}/offline-run"
    )


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"ON_IMPORT": "raise ImportError('no wandb here')"}, "no wandb here"),
        ({"ON_ANY_INIT": "raise OSError('read-only')"}, "read-only"),
        ({"ON_ANY_INIT": "raise SystemExit(3)"}, "3"),
        ({"ON_LOG": "raise ConnectionError('gone')"}, "gone"),
        ({"ON_FINISH": "raise ConnectionError('gone')"}, "gone"),
        ({"ON_LOG": "os._exit(0)"}, "its process died"),
        ({"ON_LOG": "os._exit(139)"}, "its process died"),
    ],
)
def test_wandb_that_breaks_is_off_with_one_warning(tmp_path, fake_wandb, caplog, behaviour, reason):
    fake_wandb(**behaviour)
    _run_wandb(tmp_path)
    assert _messages(caplog) == [f"wandb is off for the rest of this run: {reason}"]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"ON_INIT": "time.sleep(60)"}, "cannot start (no answer in 1 s) and records offline"),
        ({"ON_ANY_INIT": "time.sleep(60)"}, "is off for the rest of this run: no answer in 1 s"),
        ({"ON_LOG": "time.sleep(60)"}, "is off for the rest of this run: it did not finish in 3 s"),
        ({"ON_FINISH": "time.sleep(60)"}, "is off for the rest of this run: it did not finish"),
    ],
)
def test_wandb_that_hangs_is_ended(tmp_path, fake_wandb, caplog, behaviour, reason):
    fake_wandb(**behaviour)
    writing, closing = _run_wandb(tmp_path, start_seconds=1, close_seconds=3)
    assert writing < 1
    assert closing < 5
    (warning,) = _messages(caplog)
    assert f"wandb {reason}" in warning


def test_the_real_wandb_offline(tmp_path, monkeypatch, caplog):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    _run_wandb(tmp_path, close_seconds=60)
    (recorded,) = tmp_path.glob("wandb/offline-run-*-1a2b3c4d/*.wandb")
    assert b"train/loss" in recorded.read_bytes()
    assert _messages(caplog, "INFO") == [f"wandb: {recorded.parent}"]


def test_the_real_wandb_without_a_key(tmp_path, monkeypatch, caplog):
    pytest.importorskip("wandb")
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))  # no .netrc
    _run_wandb(tmp_path, start_seconds=30, close_seconds=60)
    (warning,) = _messages(caplog)
    assert "key" in warning and "records offline" in warning
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
