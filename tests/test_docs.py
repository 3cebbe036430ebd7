"""The commands of the documentation that need no accelerator do what it says."""

import json
import os
import pathlib
import re
import shlex
import subprocess

import numpy as np
import pytest

import flag_tables  # In docs/; setup.cfg puts it on the path.
from commands import parser
from commands.help import flags_of
from main import COMMANDS
from pipeline.wav.encoding import Encoding
from tests import fork_server
from tests.command_line import TINY
from tests.gcs_server import GcsServer, gcs_unavailable
from tests.pages import DOCS, PAGES, ROOT, Block, blocks
from tests.wav_files import write_walks, write_wav

TPU_VM = DOCS / "how_to" / "tpu_vm.md"
BUCKET = "my-bucket"

# In their order: what one makes the next one reads.
RUN = ["README.md"]
RUN += [f"docs/tutorial/{name}.md" for name in ("compress", "train", "report", "fine_tune")]
RUN += [f"docs/how_to/{name}.md" for name in ("archives", "24_bit")]
RUN += [f"docs/reference/{name}.md" for name in ("model_file", "python")]

# What trains and measures for minutes does so for seconds.
QUICK = {
    "train": "--training_steps=2 --warmup_steps=1 --eval_steps=1 --chunk_size=2048 "
    "--feature_pool=16384",
    "evaluate": "--eval_files=1 --codecs=flac --nocompressed_size",
}


def test_all_blocks_say_whether_they_are_run():
    for page in PAGES:
        for block in blocks(page):
            known = block.mark in ("run", "ci:test") or block.mark.startswith("not run: ")
            assert known, f"{page.name}: expected a mark before\n{block.text}"
            is_run = str(page.relative_to(ROOT)) in RUN or page == TPU_VM
            assert is_run or not block.is_run, f"{page.name} is not in RUN"


def test_the_notebook_has_no_results():
    # They are made with the site: those of another time would be in every diff.
    cells = json.loads((DOCS / "notebook.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)


def test_all_commands_are_valid_bash():
    checked = 0
    for page in PAGES:
        for block in blocks(page):
            if block.language == "bash":
                command = ["bash", "-n"]
                done = subprocess.run(command, input=block.text, text=True, capture_output=True)
                assert not done.stderr, (page.name, block.text)
                checked += 1
    assert checked > 30


def test_the_page_of_flags_is_current():
    page = flag_tables.PAGE.read_text()
    assert page == flag_tables.updated(page), "python -m docs.flag_tables writes it anew"


def test_the_tables_have_every_flag_once():
    commands = parser.load(COMMANDS)
    text = flag_tables.markdown(commands)
    groups = {group for command in commands.values() for group in command.groups}
    names = [flag.name for group in groups for flag in flags_of(group)]
    assert sorted(re.findall(r"(?m)^\| `--(?:\[no\])?(\w+)", text)) == sorted(names)
    assert len(re.findall(r"(?m)^#+ ", text)) == len(commands) + len(groups)
    assert all(
        row.count("|") == 4 for row in text.replace("\\|", "").splitlines() if row[:1] == "|"
    )


@pytest.fixture
def desk(tmp_path):
    """A folder with the files that pages name, and a `python` that imports nothing anew."""
    music = tmp_path / "home" / "music"
    music.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for folder in (tmp_path, music):  # 130 seconds, of few samples.
        walk = rng.integers(-300, 300, (130 * 500, 1)).cumsum(0).clip(-(2**15), 2**15 - 1)
        write_wav(folder / "song.wav", walk, Encoding.S16, sample_rate=500)
    write_walks(music)
    (tmp_path / "presets").symlink_to(ROOT / "presets")
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    quick = "".join(
        f'  {pattern}) set -- "$@" {QUICK[name]} ;;\n'
        for name, pattern in (("train", "--*"), ("evaluate", "evaluate"))
    )
    python.write_text(
        f'#!/bin/bash\nshift\ncase "$1" in\n{quick}esac\n'
        f'exec {shlex.join(fork_server.python(ROOT / "main.py"))} "$@"\n'
    )
    python.chmod(0o755)
    return tmp_path


@pytest.mark.slow
def test_the_pages_do_what_they_say(desk):
    environment = {
        **os.environ,
        "HOME": str(desk / "home"),
        "PATH": f"{desk / 'bin'}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")),
    }
    done: set[str] = set()  # Pages begin with what others do, too: once is enough.
    for page in RUN:
        for block in blocks(ROOT / page):
            for part in _parts(block) if block.is_run else ():
                if part not in done:
                    _run(part, block.language, desk, environment)
                    done.add(part)
    assert len(done) > 15
    assert (desk / "restored/song.wav").read_bytes() == (desk / "song.wav").read_bytes()


def _parts(block: Block) -> list[str]:
    """Returns what is run at once: a line of bash, without its comment, or all of Python."""
    if block.language == "python":
        return [block.text]
    return [re.sub(r"\s+# .*", "", line) for line in block.text.splitlines()]


def _run(part: str, language: str, folder: pathlib.Path, environment: dict[str, str]) -> None:
    command = ["bash", "-euo", "pipefail", "-c", part]
    if language == "python":
        command = fork_server.python("-c", part)
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, capture_output=True, timeout=600
    )
    assert done.returncode == 0, (part, done.stdout, done.stderr)


def _commands(text: str) -> list[list[str]]:
    """Returns the command lines of a block, without `python main.py`."""
    lines = [shlex.split(line) for line in text.strip().splitlines()]
    assert all(line[:2] == ["python", "main.py"] for line in lines), lines
    return [[word.replace("$BUCKET", BUCKET) for word in line[2:]] for line in lines]


@pytest.mark.slow
def test_a_rehearsal_for_a_tpu_vm(tmp_path):
    if reason := gcs_unavailable():
        pytest.skip(reason)
    write_walks(tmp_path)
    run = [line for block in blocks(TPU_VM) if block.is_run for line in _commands(block.text)]
    first, more, evaluate, compare, inspect = run
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


def _write_stand_ins(folder: pathlib.Path, **scripts: str) -> dict[str, str]:
    """Writes programs in place of others; returns the environment in which these are found."""
    (folder / "bin").mkdir()
    for name, script in {"sleep": "true", **scripts}.items():
        path = folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    names = {"BUCKET": BUCKET, "TPU": "tpu", "ZONE": "zone", "REPOSITORY": "repository"}
    return {**os.environ, **names, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def _block_with(text: str) -> str:
    (block,) = [block.text for block in blocks(TPU_VM) if text in block.text]
    return block


def test_the_loop_for_spot_capacity_creates_and_deletes(tmp_path):
    # States of the queued resource, an empty one where there is none; then the run has ended.
    (tmp_path / "states").write_text("\nPROVISIONING\nACTIVE\nSUSPENDED\n\nACTIVE\n")
    gcloud = """
    echo "$*" >>calls
    case "$*" in
      *describe*) head -n 1 states; sed -i 1d states ;;
      "storage cat gs://my-bucket/run.ended") [ ! -s states ] ;;
      *delete*) [ "$(grep -c delete calls)" != 2 ] ;; # The second fails, and is to be repeated.
    esac"""
    environment = _write_stand_ins(tmp_path, gcloud=gcloud)
    script = f"{_block_with('cat >watch.sh')}\nwait"
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, check=True, timeout=60)
    calls = (tmp_path / "calls").read_text()
    changes = re.findall(r"queued-resources (create|delete) tpu .*--zone=zone", calls)
    assert changes == ["create", "delete", "create", "delete", "delete"]


@pytest.mark.parametrize(
    ("statuses", "ended"),
    [
        ([0], "0"),
        ([3, 134, 137, 0], "0"),
        ([2], "2"),
        ([3, 3, 3, 3, 3, 0], "3"),
        ([143], None),
        ([], "1"),  # What cannot be installed.
    ],
)
def test_the_start_up_script_says_how_the_run_has_ended(tmp_path, statuses, ended):
    uv = """
    mkdir -p .venv/bin
    touch .venv/bin/wavestream
    cp ../bin/main .venv/bin/python"""
    main = (
        f"echo some line; read -r status <{tmp_path}/statuses; "
        f"sed -i 1d {tmp_path}/statuses; exit $status"
    )
    git = "mkdir wavestream" if statuses else "false"
    gcloud = f"cat >{tmp_path}/ended"
    environment = _write_stand_ins(
        tmp_path, curl="echo true", git=git, uv=uv, main=main, gcloud=gcloud
    )
    (tmp_path / "statuses").write_text("".join(f"{status}\n" for status in statuses))
    script = _block_with("cat >start.sh").replace("/opt", str(tmp_path))
    script += "env -i PATH=$PATH bash start.sh"  # It knows none of the laptop's variables.
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, timeout=60)
    assert done.returncode == (int(ended) if ended else statuses[-1])
    written = tmp_path / "ended"
    said = written.read_text().split("\n") if written.exists() else None
    assert (said and said[-2]) == (ended and f"status {ended}")
    assert not statuses or not said or "some line" in said
