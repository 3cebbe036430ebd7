"""Runs in s3://, by tensorflow-io: killed and resumed, read by other commands, refused."""

import json
import threading

import pytest

from tests.bucket_runs import assert_survives_a_kill, finish_well, new_python, put_walks, start
from tests.fault import Fault
from tests.s3_server import WRITES, S3Server, s3_unavailable

if reason := s3_unavailable():
    pytest.skip(reason, allow_module_level=True)
pytestmark = pytest.mark.both_stacks


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with S3Server("audio", "runs") as started:
        put_walks(started, tmp_path_factory.mktemp("audio"))
        yield started


@pytest.fixture(scope="module")
def whole(server):
    """A run that nothing happened to, to the end of its process, where tensorflow-io may abort."""
    return finish_well(start(server, "whole", interpreter=new_python))


def test_killed_and_started_on_another_machine_it_is_the_same_run(server, whole):
    assert_survives_a_kill(server, "whole")


def test_other_commands_read_the_run_and_mistakes_are_one_line(server, whole):
    """In one process: starting one takes ten seconds."""
    server.create_bucket("readonly")
    server.create_bucket("denied")
    server.create_bucket("writeonly")
    train = ("--audio_dir=s3://audio/walks", "--training_steps=2")
    report = "--report_dir=s3://runs/report"
    commands = [
        ("evaluate", "--model=s3://runs/whole/audio_model.npz", "--codecs=", report),
        ("compare", "s3://runs/whole", report),
        (*train, "--output_dir=s3://missing/run"),
        (*train, "--output_dir=s3://readonly/run"),
        (*train, "--output_dir=s3://denied/run"),
        (*train, "--output_dir=s3://writeonly/run"),
        (*train, "--output_dir=s3://runs/held"),
    ]
    program = "import sys\nfrom tests.command_line import run_main\n"
    for command in commands:
        program += f"print(run_main(*{command}), flush=True)\nprint('--', file=sys.stderr)\n"
    stop = threading.Event()

    def renew():  # As another machine that holds the run.
        lock = {"holder": "process 7 on host b", "process": ["host b", 7], "token": "b"}
        count = 0
        while not stop.wait(0.2):
            count += 1
            content = json.dumps({**lock, "n": count}).encode()
            server.put("runs", "held/audio_model.lock", content)

    thread = threading.Thread(target=renew)
    thread.start()
    with (
        server.proxy.failing(Fault(on=f"{WRITES}.*/readonly/", status=403)),
        server.proxy.failing(Fault(on="/denied/", status=401)),
        server.proxy.failing(Fault(on="^(GET|HEAD) .*/writeonly", status=403)),
    ):
        result = server.run_python(program, timeout=300)
    stop.set()
    thread.join()
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-5:] == ["2"] * 5
    names = server.names("runs", "report/")
    assert names == [f"report/{name}" for name in ("compare.png", "report.html", "report.json")]
    last = [part.strip().splitlines()[-1] for part in result.stderr.split("--\n")[2:7]]
    cannot = "error: --output_dir cannot be written: s3://"
    assert last[:4] == [
        f"{cannot}missing/run: NoSuchBucket: The specified bucket does not exist: expected a "
        "bucket that exists",
        f"{cannot}readonly/run: AccessDenied: the test wants 403: expected credentials that may do "
        "this",
        f"{cannot}denied/run: InvalidAccessKeyId: the test wants 401: expected valid credentials "
        "of this machine or user",
        "error: --output_dir=s3://writeonly/run can be written, but not read: expected credentials "
        "that may do both",
    ]
    assert "audio_model.lock is held by process 7 on host b" in last[4]
    assert server.names("runs", "held/") == ["held/audio_model.lock"]
