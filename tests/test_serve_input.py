"""Training on batches that other processes read, from the command line."""

import contextlib
import http.server
import os
import signal
import socket
import subprocess
import threading
import time

import numpy as np
import pytest

from pipeline.wav.encoding import Encoding
from tests.command_line import ROOT, TINY, error_of
from tests.fork_server import python
from tests.input_servers import end, port_of, servers, start
from tests.wav_files import random_frames, write_wav


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    for number in range(5):
        frames = random_frames(Encoding.S16, 3000 + number, 1, number)
        write_wav(folder / f"{number}.wav", frames, Encoding.S16)
    return folder


def _train(audio, out, *args, **environment):
    fixed = ("--training_steps=60", "--log_every=7", "--eval_every=30", "--eval_steps=2")
    folders = (f"--audio_dir={audio}", f"--output_dir={out}")
    done = subprocess.run(
        python("main.py", *folders, *TINY, *fixed, *args),
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
def test_training_is_the_same(audio, tmp_path):
    _train(audio, tmp_path / "here")
    proxy = {"http_proxy": "http://127.0.0.1:9"}  # Nobody: the dispatcher is not behind it.
    with servers(num_workers=2) as (address, _, _):
        said = _train(audio, tmp_path / "there", f"--data_service={address}", **proxy)
    assert "input service:" not in said  # All of it was read there.
    here, there = (
        (tmp_path / name / "audio_model_metrics.jsonl").read_bytes() for name in ("here", "there")
    )
    assert here == there
    with (
        np.load(tmp_path / "here" / "audio_model.npz") as one,
        np.load(tmp_path / "there" / "audio_model.npz") as other,
    ):
        names = [name for name in one if name.startswith("params/")]
        assert names and all(one[name].tobytes() == other[name].tobytes() for name in names)


@pytest.mark.slow
def test_a_worker_behind_a_proxy_without_its_dispatcher_and_with_it_again(unanswered):
    """A proxy does not know the hosts: neither the worker nor gRPC asks it."""
    proxies = dict.fromkeys(("http_proxy", "https_proxy"), f"http://localhost:{unanswered}")
    dispatcher = start("--role=dispatcher", **proxies)
    port = port_of(dispatcher)
    address = f"grpc://localhost:{port}"
    worker = start("--role=worker", f"--dispatcher={address}", **proxies)
    port_of(worker)
    assert end(dispatcher, signal.SIGINT) == (
        130,
        "SIGINT: exiting; trainers read missing batches locally\n",
    )
    assert _line(worker, "warning: dispatcher").startswith(
        f"warning: dispatcher {address} does not answer ("
    )
    dispatcher = start("--role=dispatcher", f"--port={port}")
    assert _line(worker, "dispatcher") == f"dispatcher {address} answers again\n"
    end(dispatcher)
    status, said = end(worker, signal.SIGTERM)
    assert status == 143
    assert said.endswith("SIGTERM: exiting; trainers read missing batches locally\n")


def _line(server, begin):
    """Returns the next line of a server that begins so; gRPC may log its own before."""
    return next(line for line in server.stderr if line.startswith(begin))


@pytest.fixture
def unanswered():
    """The port of a server that accepts connections, and then says nothing."""
    with socket.create_server(("localhost", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def not_a_dispatcher():
    """The address of a server that speaks HTTP/2, and answers no request."""
    settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    with socket.create_server(("localhost", 0)) as server:

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    kept.append(server.accept()[0])
                    kept[-1].sendall(settings)

        kept = []
        threading.Thread(target=answer, daemon=True).start()
        yield f"grpc://localhost:{server.getsockname()[1]}"


def test_a_worker_that_waits_says_so_and_ends_on_a_signal(not_a_dispatcher):
    worker = start("--role=worker", f"--dispatcher={not_a_dispatcher}")
    assert worker.stderr.readline() == f"connecting with dispatcher {not_a_dispatcher}\n"
    time.sleep(2)
    assert worker.poll() is None
    assert end(worker, signal.SIGTERM) == (-signal.SIGTERM, "")


def test_what_answers_is_no_dispatcher(capsys):
    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("localhost", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"--dispatcher=grpc://localhost:{server.server_port}"
    message = error_of(capsys, "serve_input", "--role=worker", address)
    server.shutdown()
    assert message == f"{address}: what answers there does not speak gRPC; expected a dispatcher"


@pytest.mark.slow  # A dispatcher that starts at the same moment is given 15 seconds.
@pytest.mark.parametrize("flag", ["--data_service", "--dispatcher"])
def test_nothing_listens(capsys, audio, tmp_path, flag):
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    address = f"{flag}=grpc://localhost:{port}"
    here = (f"--audio_dir={audio}", f"--output_dir={tmp_path}")
    message = error_of(
        capsys,
        *(here if flag == "--data_service" else ("serve_input", "--role=worker")),
        address,
    )
    assert message.startswith(f"{address}: nothing answers there (")
    assert message.endswith(f"python main.py serve_input --role=dispatcher --port={port}")


def test_a_port_that_is_taken(capsys):
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        done = start("--role=dispatcher", f"--port={port}")
        _, said = done.communicate(timeout=60)
    assert done.returncode == 2
    assert said.startswith(f"error: --port={port} cannot be listened on: ")
