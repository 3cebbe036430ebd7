"""How the models that ship are made, and made one's own: in few steps, from the command line."""

import pathlib
import subprocess

import pytest

from models.model_file import load_model
from models.shipped import pack
from tests.command_line import ROOT
from tests.fork_server import python

pytestmark = pytest.mark.slow

# As presets/shipped.flags says, but shorter.
SHIPPED = (
    *("--flagfile=presets/shipped.flags", "--predictor_set=fast", "--mlp_width=32"),
    *("--mixture_components=3", "--training_steps=8", "--eval_steps=1"),
)
SHORT = (
    "--demo",
    "--chunk_size=8192",
    "--feature_pool=131072",
    "--log_every=4",
    "--warmup_steps=2",
)


def _main(*arguments):
    done = subprocess.run(
        python("main.py", *arguments), cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_recorded_command_makes_the_same_file_again(tmp_path):
    packed = []
    for name in ("one", "other"):
        folder = tmp_path / name
        _main(*SHIPPED, *SHORT, f"--output_dir={folder}")
        (folder / "packed").mkdir()
        packed.append(pack.pack(f"{folder}/audio_model.npz", folder / "packed"))
    one, other = (pathlib.Path(path).read_bytes() for path in packed)
    assert one == other and str(tmp_path).encode() not in one
    file = load_model(packed[0])
    assert packed[0].endswith("fast.npz") and file.data["audio_dirs"] == []
    training = file.training
    assert training["steps"] == 8 and training["config"]["seed"] == 42
    assert training["augmentation"]["mix_probability"] == 0.35
    assert training["audio"].startswith("11 files with ")
    assert {"wavestream", "jax", "numba", "devices"} <= training["made_with"].keys()


def test_a_model_is_fine_tuned_and_compresses(tmp_path):
    out = tmp_path / "out"
    tuned = ("--flagfile=presets/finetune.flags", "--init_from=fast", "--training_steps=8")
    said = _main(*tuned, *SHORT, "--eval_steps=1", f"--output_dir={out}")
    assert "initial model    fast (30349aa7b9dd5656), trained for 15,000 steps\n" in said
    model = f"--model={out}/audio_model.npz"
    source = min((out / "demo_corpus").rglob("*.wav"), key=lambda path: path.stat().st_size)
    _main("compress", model, f"--output_dir={tmp_path}", source)
    compressed = tmp_path / f"{source.name}.wvst"
    _main("verify", model, compressed)
    _main("decompress", model, f"--output_dir={tmp_path / 'back'}", compressed)
    assert (tmp_path / "back" / source.name).read_bytes() == source.read_bytes()
    said = _main("info", f"--model_dir={out}", compressed)
    assert "initial model    fast (30349aa7b9dd5656)\n" in said
