"""The commands of the documentation that need no accelerator do what it says."""

import pathlib
import re
import shlex
import subprocess

import pytest

from tests.command_line import TINY
from tests.gcs_server import GcsServer, gcs_unavailable
from tests.wav_files import write_walks

TPU_VM = pathlib.Path(__file__).parents[1] / "docs" / "tpu_vm.md"
BUCKET = "my-bucket"


def _commands(text: str) -> list[list[str]]:
    """Returns the command lines in the blocks after <!-- run -->, without `python main.py`."""
    blocks = re.findall(r"<!-- run -->\n```bash\n(.*?)```", text, re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.strip().splitlines()]
    assert all(line[:2] == ["python", "main.py"] for line in lines), lines
    return [[word.replace("$BUCKET", BUCKET) for word in line[2:]] for line in lines]


def test_all_commands_are_valid_bash():
    blocks = re.findall(r"```bash\n(.*?)```", TPU_VM.read_text(), re.DOTALL)
    assert len(blocks) > 8
    for block in blocks:
        checked = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True)
        assert not checked.stderr, block


@pytest.mark.slow
def test_a_rehearsal_for_a_tpu_vm(tmp_path):
    if reason := gcs_unavailable():
        pytest.skip(reason)
    write_walks(tmp_path)
    first, more, evaluate, compare, inspect = _commands(TPU_VM.read_text())
    # What the preset trains takes minutes: a smaller model by the same commands.
    first, more = ([*line, *TINY] for line in (first, more))
    with GcsServer(BUCKET) as server:
        server.put_folder(BUCKET, "audio", tmp_path)
        said = []
        for line in (first, first, more, evaluate, compare, inspect):
            done = server.run_main(*line, timeout=600)  # Other codecs take a minute of CPU.
            assert done.returncode == 0, (line, done.stderr)
            said.append(done.stdout + done.stderr)
        names = server.names(BUCKET)
    assert "steps            20 of 20" in said[0]
    assert "all 20 steps are done" in said[1]
    assert "resuming         after step 20 of 30" in said[2]
    assert f"report: gs://{BUCKET}/rehearsal/report/report.html" in said[3]
    assert f"gs://{BUCKET}/rehearsal" in said[4]
    assert {"rehearsal/audio_model.npz", "rehearsal/report/report.json"} <= set(names)
    assert "audio.catalogue" in names
