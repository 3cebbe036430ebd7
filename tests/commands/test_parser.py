"""The command line: which command is meant, its help, and what is said of mistakes."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from commands import parser, synonyms
from commands.run_flag_file import as_flagfile
from main import COMMANDS
from runtime.flag_definitions import define
from runtime.version import VERSION
from tests.command_line import ROOT, error_of, parsed, run_main
from tests.evaluation.training_runs.test_run_dir import write_run

WITH_TOY = {**COMMANDS, "toy": "tests.commands.toy"}


def _run(*args, **kwargs):
    command = [sys.executable, str(ROOT / "main.py"), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **kwargs)


def test_a_command_is_added_by_a_module_and_a_line_of_the_table(capsys):
    assert run_main("toy", "--toys=3", "bear", table=WITH_TOY) == 7
    assert capsys.readouterr().out == "3 128 bear\n"
    assert run_main("toy", "--help", table=WITH_TOY) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: python main.py toy [FLAGS] [NAME]\n\nPlay.\n\nOn.\n\nToys:")
    assert "--toys=TOYS " in shown and "--batch_size=CHUNKS " in shown and "--seed" not in shown
    assert run_main("--help", table=WITH_TOY) == 0
    assert re.search(r"^  toy +Play\.$", capsys.readouterr().out, re.MULTILINE)
    assert run_main("--toys=3", table=WITH_TOY) == 2
    assert "--toys is not a flag of train, but of toy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "status_and_output"),
    [
        (("--toys=3", "toy"), (7, "3 128\n")),
        (("--toys", "3", "toy", "--batch_size", "2"), (7, "3 2\n")),
        (("toy", "train", "toy"), (7, "1 128 train toy\n")),
        (("toy", "--", "--toys=2"), (7, "1 128 --toys=2\n")),
        (("--undefok=x,seed", "toy", "--x=1", "--seed=1"), (7, "1 128\n")),
        (("--verbosity", "0", "--nopdb", "toy", "help"), (7, "1 128 help\n")),
        (("-v", "0", "toy", "-v=1", "--", "-v"), (7, "1 128 -v\n")),
    ],
)
def test_where_the_name_of_a_command_may_be(capsys, args, status_and_output):
    assert (run_main(*args, table=WITH_TOY), capsys.readouterr().out) == status_and_output


def test_no_name_is_train():
    for args in (("train",), ("--seed", "1")):
        command = parser.parse(["main.py", *args], COMMANDS)[0]
        assert command is parser.load(COMMANDS)["train"]
    assert parsed("--wandb_run_name", "inspect").wandb_run_name == "inspect"


def test_folders_need_no_flag(tmp_path):
    for command in ("train", "inspect", "evaluate"):
        assert parsed(command, "a", "--audio_dir=b", "c").audio_dir == ["b", "a", "c"]
    values = parsed("train", tmp_path)
    assert f"--audio_dir={tmp_path}" in as_flagfile(values).splitlines()


def test_no_argument_at_all_is_answered_by_the_commands(capsys):
    assert run_main() == 2
    assert capsys.readouterr().out.startswith("Usage: python main.py [COMMAND] [FLAGS]")


def test_names_of_other_programs_are_told_by_ours():
    commands = parser.load(COMMANDS)
    flags = {flag for command in commands.values() for flag in define(command.groups)}
    assert {*synonyms.COMMANDS.values()} <= {*COMMANDS}
    assert {flag for own in synonyms.FLAGS.values() for flag in own} <= flags
    assert not {*synonyms.FLAGS, *synonyms.NEEDLESS} & flags
    assert not {*synonyms.COMMANDS} & {*COMMANDS}


def test_v_is_verbose_as_elsewhere(capsys):
    for args in (("-v", "verify", "a"), ("verify", "-v", "a"), ("-t", "a", "-v")):
        assert parsed(*args).verbose
    assert run_main("-v") == 2
    assert "--verbose is not a flag of train, but of compress" in capsys.readouterr().err


def test_n_is_a_dry_run_as_elsewhere(capsys):
    for args in (("compress", "-n", "a"), ("-d", "a", "-n"), ("compress", "--dry-run", "a")):
        assert parsed(*args).dry_run
    assert not parsed("compress", "a", "--", "-n").dry_run
    assert run_main("verify", "-n", "a") == 2
    assert "--dry_run is not a flag of verify, but of compress" in capsys.readouterr().err


def test_a_flag_file_is_for_several_commands(tmp_path):
    (tmp_path / "a.flags").write_text("--learning_rate=0.5\n--chunk_size=8\n--nofresh\n--chunked\n")
    flag_file = f"--flagfile={tmp_path}/a.flags"
    assert parsed("inspect", flag_file).chunk_size == 8
    assert parsed("evaluate", flag_file).chunked
    assert parsed(flag_file).learning_rate == 0.5
    assert parsed("--flagfile", str(tmp_path / "a.flags"), "inspect").chunk_size == 8


def test_all_flags(capsys):
    assert run_main("evaluate", "--helpfull") == 0
    shown = capsys.readouterr().out
    for flag in ("--model=", "--verbosity", "--undefok", "--flagfile", "--pdb_post_mortem"):
        assert flag in shown.replace("[no]", "")
    assert run_main("--version") == 0
    assert capsys.readouterr().out == f"wavestream {VERSION}\n"
    assert run_main("evaluate", "--helpxml") == 0
    names = xml.etree.ElementTree.fromstring(capsys.readouterr().out).iterfind("flag/name")
    assert {"model", "codecs"} <= {name.text for name in names}


def test_flags_of_absl(tmp_path):
    done = _run("--demo", "--only_check_args", "--verbosity=1", f"--output_dir={tmp_path}/o")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


MISTAKES = [
    (("train",), "--audio_dir is missing: a folder of WAV files"),
    (("--audio_dir=",), "--audio_dir is missing"),
    (("--audio_dir=,",), "--audio_dir is missing"),
    (("--demo", "--audio_dir=/tmp"), "--demo and --audio_dir exclude each other"),
    (
        ("--flagfile=presets/quickstart.flags", "--audio_dir=/tmp"),
        "--demo and --audio_dir exclude each other; --demo comes from "
        "--flagfile=presets/quickstart.flags: expected --nodemo behind it",
    ),
    (("inspect",), "python main.py inspect --help lists the flags"),
    (("trian", "--demo"), "unknown command 'trian', did you mean train?"),
    (("train", "now"), "--audio_dir=now: there is no such folder or file"),
    (("train", "--downmix", "false"), "unexpected 'false': a switch is given as --downmix or"),
    (("serve_input", "now"), "unexpected 'now': serve_input takes flags alone"),
    (("--demo", "train", "/tmp"), "--demo and --audio_dir exclude each other"),
    (("tests",), "it is a folder, did you mean: python main.py compress tests or python main.py"),
    (("list", "x.wvst"), "unknown command 'list', did you mean info?"),
    (("extract", "x.wvst"), "unknown command 'extract', did you mean decompress?"),
    (("audio_dir=/tmp",), "unknown command 'audio_dir=/tmp': expected one of train, inspect, "),
    ((__file__,), f"it is a file, did you mean: python main.py compress {__file__}"),
    (("--use_16bit", "true"), "unknown command 'true': a switch is given as --downmix or --no"),
    (("--audiodir=x",), "unknown flag --audiodir: did you mean --audio_dir?"),
    (("--lerning_rate", "3"), "unknown flag --lerning_rate: did you mean --learning_rate?"),
    (("--nodowmix",), "unknown flag --nodowmix: did you mean --nodownmix?"),
    (("--flagfil=x",), "unknown flag --flagfil: did you mean --flagfile?"),
    (("--verbositi=1",), "unknown flag --verbositi: did you mean --verbosity?"),
    (("compress", "--bestt", "x"), "unknown flag --bestt: did you mean --best?"),
    (("--bestt",), "unknown flag --bestt: did you mean --best, a flag of compress?"),
    (("compress", "--model_di=x"), "unknown flag --model_di: did you mean --model?"),
    (
        ("--steps=3",),
        "unknown flag --steps: did you mean --eval_steps or --training_steps or --warmup_steps?",
    ),
    (("train", "--lr=1e-3"), "unknown flag --lr: did you mean --learning_rate?"),
    (("train", "--data-dir=x"), "unknown flag --data-dir: did you mean --audio_dir?"),
    (("compress", "-o", "x", "y"), "unknown flag -o: did you mean --output_dir?"),
    (("compress", "-8", "x"), "unknown flag -8: did you mean --best or --normal or --fast?"),
    (("decompress", "-T4", "x"), "unknown flag -T4: did you mean --jobs?"),
    (("compress", "--quiet", "x"), "unknown flag --quiet: add >/dev/null 2>&1, the exit"),
    (("decompress", "--end=3", "x"), "unknown flag --end: did you mean --duration?"),
    (("info", "--zzz"), "unknown flag --zzz: python main.py info --help lists the flags"),
    (("train", "--model=x"), "--model is not a flag of train, but of evaluate and compress and"),
    (("--nochunked",), "--nochunked is not a flag of train, but of evaluate"),
    (("--role=worker", "--demo"), "--role is not a flag of train, but of serve_input"),
    (
        ("evaluate", "--use_16bit"),
        "--use_16bit is not a flag of evaluate, but of train and inspect",
    ),
    (("--audio_dir=/no/such",), "--audio_dir=/no/such: there is no such folder or file"),
    (("--audio_dir=/tmp,/no/such",), "--audio_dir=/no/such: there is no such folder or file"),
    (("inspect", "--audio_dir=/no/such"), "--audio_dir=/no/such: there is no such folder"),
    (("evaluate", "--model=/x", "--audio_dir=/no/such"), "--audio_dir=/no/such: there is no"),
    (("evaluate", "--model=/tmp"), "--model=/tmp is a folder: expected the .npz file in it"),
    (("evaluate", "x.npz"), "x.npz: expected a folder of WAV files; a model is --model=MODEL"),
    (("serve_input",), "--role is missing: one of dispatcher, worker"),
    (("serve_input", "--role=worker"), "--dispatcher is missing: the dispatcher's grpc://host"),
    (("serve_input", "--role=dispatcher", "--dispatcher=grpc://h:1"), "--dispatcher is for"),
    (("serve_input", "--role=dispatcher", "--port=65536"), "integer in the range [0, 65535]"),
    (("compress", "--segment=1023", "x"), "1023 is not an integer in the range [1024,"),
    (("compare",), "expected the folders of runs"),
    (
        ("--audio_dir=/tmp", "--output_dir=/dev/null/x"),
        "--output_dir=/dev/null/x is below a file",
    ),
    (("--audio_dir=/tmp", "--output_dir=/dev/null"), "--output_dir=/dev/null is not a folder"),
    (("--audio_dir=/tmp", "--batch_size=2000000000"), "expected a smaller --batch_size"),
    (("--audio_dir=/tmp", "--chunk_size=2000000000"), "--chunk_size=2,000,000,000"),
    (("--audio_dir=/tmp", "--shuffle_window=2000000000"), "2,000,000,000 chunks of --chunk"),
    (("--audio_dir=/tmp", "--embedding_dim=65"), "embedding_dim must be a multiple of num_heads=8"),
    (("--demo", "--use_16bit", "--chunk_size=2047"), "a depth of 16 bits needs an even chunk_size"),
    (("--demo", "--learning_rate=0"), "learning_rate must be above 0"),
]


@pytest.mark.parametrize(("args", "message"), MISTAKES)
def test_mistake(capsys, args, message):
    assert message in error_of(capsys, *args)


def test_a_file_whose_name_begins_with_a_dash(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-a b=c.wav").touch()
    expected = "unknown flag -a b: to name the file, write './-a b=c.wav', or -- before it"
    assert error_of(capsys, "compress", "-a b=c.wav") == expected


def test_mistakes_are_answered_before_anything_slow_is_imported():
    script = """
import json, sys
from tests.command_line import run_main
for args in json.load(sys.stdin):
    run_main(*args)
slow = {"tensorflow", "jax", "flax", "optax", "numpy", "wandb"} & sys.modules.keys()
assert not slow, slow
"""
    lines = [["--help"], ["evaluate", "--helpfull"], *(args for args, _ in MISTAKES)]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, input=json.dumps(lines), text=True, timeout=60
    )
    assert done.returncode == 0


@pytest.mark.parametrize("arg", ["--help", "--helpfull", "compare"])
def test_a_reader_that_is_gone_ends_it_quietly(tmp_path, arg):
    reader, writer = os.pipe()
    os.close(reader)
    args = [arg, write_run(tmp_path / "run")] if arg == "compare" else [arg]
    command = [sys.executable, ROOT / "main.py", *args]
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    with open(writer, "wb") as gone:
        done = subprocess.run(
            command, cwd=tmp_path, env=buffered, stdout=gone, stderr=subprocess.PIPE
        )
    assert done.stderr == b""


def test_compare_fails_where_one_of_the_runs_is_missing(tmp_path, capsys):
    run = write_run(tmp_path / "run")
    shown = f"--report_dir={tmp_path}"
    assert run_main("compare", shown, run) == 0
    assert run_main("compare", shown, run, tmp_path / "none") == 1
    out, err = capsys.readouterr()
    assert out.count("plot: ") == 2 and f"skipped: {tmp_path}/none: no such folder" in err


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_end_a_command(tmp_path, closed):
    write_run(tmp_path / "run")
    command = f"exec {sys.executable} {ROOT}/main.py compare run {closed}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert ("bits per sample" in done.stdout) == (closed == "2>&-")
    assert done.stderr == ""
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_an_error_without_stderr_has_its_status():
    command = f"exec {sys.executable} {ROOT}/main.py compare /no/such 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 2


def test_a_mistyped_flag_in_a_flag_file_is_named_with_the_file(capsys, tmp_path):
    path = tmp_path / "f.flags"
    (tmp_path / "inner.flags").write_text("--lerning_rate=3\n")
    path.write_text(f"--seed=7\n--flagfile={tmp_path}/inner.flags\n")
    expected = f"--flagfile={path}: unknown flag --lerning_rate: did you mean --learning_rate?"
    assert error_of(capsys, f"--flagfile={path}") == expected
    assert error_of(capsys, "inspect", "--flagfile", path) == (
        f"--flagfile={path}: unknown flag --lerning_rate: did you mean --learning_rate, a flag of "
        "train?"
    )


def test_a_flag_file_that_cannot_be_read_is_named(capsys, tmp_path):
    path = tmp_path / "f.flags"
    path.write_text("--seed=7\n", encoding="utf-16")
    assert error_of(capsys, f"--flagfile={path}").startswith(f"--flagfile={path}: it is UTF-16")
    path.write_text("--seed=7\n", encoding="utf-8-sig")
    assert parsed(f"--flagfile={path}").seed == 7
