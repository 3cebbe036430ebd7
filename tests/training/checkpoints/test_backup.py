"""Nothing that an earlier run left is overwritten."""

from training.checkpoints.backup import back_up


def test_nothing_to_keep(tmp_path):
    back_up(str(tmp_path / "model.npz"))
    assert not list(tmp_path.iterdir())


def test_the_first_free_number(tmp_path):
    path = tmp_path / "model.v2.npz"
    for number in (1, 2):
        path.write_text(f"run {number}")
        back_up(str(path))
        assert (tmp_path / f"model.v2.{number}.npz").read_text() == f"run {number}"
    (tmp_path / "model.v2.1.npz").unlink()
    path.write_text("run 3")
    back_up(str(path))
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {"model.v2.1.npz": "run 3", "model.v2.2.npz": "run 2"}
