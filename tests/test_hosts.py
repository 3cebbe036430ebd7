"""Several hosts on this machine: the same run whatever their number, and an end for all of them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import numpy as np
import pytest

from pipeline.config import PipelineConfig
from pipeline.corpus import open_corpus
from pipeline.dataset import make_dataset
from runtime.failure_detector import EXIT_STATUS
from tests.command_line import ROOT
from tests.several_hosts import command_lines, digests, variables
from tests.wav_files import write_walks

NAME = socket.gethostname()
PIPELINE = PipelineConfig(batch_size=8, chunk_size=64, shuffle_window=16)
ARGS = (
    f"--batch_size={PIPELINE.batch_size}",
    f"--chunk_size={PIPELINE.chunk_size}",
    f"--shuffle_window={PIPELINE.shuffle_window}",
    "--learning_rate=0.03",
    "--log_every=7",
    "--eval_every=90",
    "--eval_steps=3",
    "--checkpoint_every=4",
    "--checkpoint_minutes=0.01",
)


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    write_walks(folder)
    return folder


def _start(audio, out, hosts, devices, *args, others=(), records="records", shift=0):
    """Starts the hosts of a run; `others` are flags of all but the first.

    JAX gives them numbers that are `shift` more than their own.
    """
    out.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),  # Knows no host.
        **variables(devices),
    }
    args = (f"--audio_dir={audio}", f"--output_dir={out}", *ARGS, *args)
    return [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in command_lines(out / records, hosts, *args, others=others, shift=shift)
    ]


def _finish(processes, timeout=300):
    said = [process.communicate(timeout=timeout)[0] for process in processes]
    return [process.returncode for process in processes], said


def _wait_until_trained(out, processes, step=20):
    deadline = time.monotonic() + 200
    while not any(
        json.loads(line)["step"] >= step
        for line in (_read(out / "audio_model_metrics.jsonl")).splitlines()
    ):
        assert all(process.poll() is None for process in processes), _finish(processes)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _read(path):
    return path.read_text() if path.exists() else ""


def _metrics(out):
    return [
        json.loads(line) for line in (out / "audio_model_metrics.jsonl").read_text().splitlines()
    ]


def _params(out):
    with np.load(out / "audio_model.npz") as arrays:
        return arrays["params/logits"]


STEPS = 200


@pytest.fixture(scope="module")
def corpus(audio):
    return open_corpus([str(audio)], PIPELINE, valid_fraction=0.2)


@pytest.fixture(scope="module")
def batches(corpus):
    """The hashes of each row of each batch of training, as one host reads them."""
    dataset = make_dataset(corpus.train).take(STEPS)
    return [digests(batch) for batch in dataset.as_numpy_iterator()]


@pytest.fixture(scope="module")
def held_out(corpus):
    dataset = make_dataset(corpus.valid, one_pass=True)
    return {x for batch in dataset.as_numpy_iterator() for x in digests(batch)}


def _assert_read(out, records, hosts, start, stop, batches, held_out):
    """Checks that each host read its rows of the batches from `start` to `stop`, and in order."""
    rows = PIPELINE.batch_size // hosts
    for host in range(hosts):
        lines = map(json.loads, (out / f"{records}.{host}").read_text().splitlines())
        found = [line for line in lines if not held_out >= {*line}]
        assert len(found) >= stop - start
        expected = [batch[host * rows : (host + 1) * rows] for batch in batches[start:]]
        found = found[: len(expected)]  # Those for which there was no step any more were read, too.
        assert found == expected[: len(found)], (records, host)


def _resumed(said):
    """Returns after which step a run was resumed."""
    return int(re.search(r"resuming +after step (\d+)", said)[1])


def _assert_same_run(out, whole):
    assert len(_metrics(out)) == len(_metrics(whole))
    for ours, theirs in zip(_metrics(out), _metrics(whole), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    np.testing.assert_allclose(_params(out), _params(whole), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_run_moves_between_hosts(audio, batches, held_out, tmp_path):
    """One host, or two that a signal to one of them ends, and then one or four."""
    steps = f"--training_steps={STEPS}"
    whole = tmp_path / "whole"
    assert _finish(_start(audio, whole, 1, 4, steps))[0] == [0]
    _assert_read(whole, "records", 1, 0, STEPS, batches, held_out)

    two = tmp_path / "two"
    processes = _start(audio, two, 2, 2, steps)
    _wait_until_trained(two, processes)
    processes[1].send_signal(signal.SIGTERM)
    statuses, said = _finish(processes)
    assert statuses == [143, 143], said
    assert "interrupted; the same command resumes it" in said[0]
    assert "interrupted" not in said[1]  # The first host alone writes.

    for hosts, devices, shift in ((1, 4, 0), (4, 1, 3)):
        out = tmp_path / f"then_{hosts}"
        shutil.copytree(two, out)
        statuses, said = _finish(
            _start(audio, out, hosts, devices, steps, records="resumed", shift=shift)
        )
        assert statuses == [0] * hosts, said
        _assert_same_run(out, whole)
        log = (out / "audio_model_training.log").read_text()
        assert (f"4; {NAME}, host 0 (JAX's process 3), alone writes files" in log) == (hosts == 4)
        resumed = _resumed(said[0])  # By the host that the others call host 0, whatever JAX says.
        _assert_read(out, "records", 2, 0, resumed, batches, held_out)
        _assert_read(out, "resumed", hosts, resumed, STEPS, batches, held_out)


@pytest.mark.both_stacks
@pytest.mark.parametrize("victim", [0, 1])
def test_a_host_that_dies_ends_the_others(audio, tmp_path, victim):
    processes = _start(audio, tmp_path, 2, 1, "--training_steps=1000000")
    _wait_until_trained(tmp_path, processes)
    processes[victim].kill()
    begin = time.monotonic()
    statuses, said = _finish(processes, timeout=60)
    assert time.monotonic() - begin < 60
    assert statuses[victim] == -signal.SIGKILL
    assert list(tmp_path.glob("audio_model_checkpoints/*.npz"))
    if victim == 0 and statuses[1] == -signal.SIGABRT:  # JAX was quicker, as 0.5 mostly is.
        assert "This most likely indicates that another task died" in said[1]
        return
    assert statuses[1 - victim] == EXIT_STATUS, said
    assert f"error: host {victim} ({NAME}): its process has ended" in said[1 - victim]
    assert "resumes from the last checkpoint" in said[1 - victim]


def test_a_mistake_on_one_host_ends_the_others(audio, tmp_path):
    statuses, said = _finish(
        _start(audio, tmp_path, 2, 1, "--training_steps=9", others=("--audio_dir=/no/such",))
    )
    assert statuses == [EXIT_STATUS, 2], said
    assert f"error: host 1 ({NAME}): --audio_dir=/no/such: there is no such folder" in said[0]


def test_hosts_that_see_other_files_are_refused(audio, tmp_path):
    fewer = tmp_path / "fewer"
    shutil.copytree(audio, fewer)
    (fewer / "0.wav").unlink()
    out = tmp_path / "out"
    # The flag may be repeated: the second host has the first one's files, and more.
    others = (f"--audio_dir={audio}", "--eval_every=45")
    statuses, said = _finish(_start(fewer, out, 2, 1, "--training_steps=9", others=others))
    assert 2 in statuses and set(statuses) <= {2, EXIT_STATUS}, said
    message = next(text for text in said if "hosts 0 and 1 differ: audio is 3 files" in text)
    assert "; eval_every is 90 and 45; held-out audio is 1 files" in message
