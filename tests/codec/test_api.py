"""The codec in Python, beside what `soundfile` does with the same WAV."""

import dataclasses
import hashlib
import io

import numpy as np
import pytest
import soundfile

import codec
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError
from tests.codec.models import small_model
from tests.models.exact.test_stream import stereo
from tests.models.predictors.signals import tones
from tests.wav_files import write_wav


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A WAV and what has become of it."""
    path = tmp_path_factory.mktemp("api")
    write_wav(path / "a.wav", stereo(1300), Encoding.S16, sample_rate=8000)
    (path / "a.wav.wvst").write_bytes(codec.compress(path / "a.wav", small_model(), segment=500))
    return path


def test_there_and_back(folder):
    content = (folder / "a.wav").read_bytes()
    for source in (str(folder / "a.wav"), content, io.BytesIO(content)):
        packed = codec.compress(source, small_model(), segment=500)
        assert packed == (folder / "a.wav.wvst").read_bytes()
    for source in (folder / "a.wav.wvst", packed, io.BytesIO(packed)):
        assert codec.decompress(source, [small_model()]) == content
    with pytest.raises(DataError, match="was not found"):
        codec.decompress(packed)
    with pytest.raises(FileNotFoundError):
        codec.decompress(folder / "b.wav.wvst", small_model())


def test_verify_tells_damaged_and_different(folder):
    packed = (folder / "a.wav.wvst").read_bytes()
    content = (folder / "a.wav").read_bytes()
    for source in (folder / "a.wav.wvst", packed, io.BytesIO(packed)):
        assert codec.verify(source, small_model()) is None
    for original in (folder / "a.wav", content, io.BytesIO(content)):
        codec.verify(packed, small_model(), original=original)
    other = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(codec.DifferentError, match=f"differs from byte {len(content) - 1:,} on"):
        codec.verify(packed, small_model(), original=other)
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 1
    with pytest.raises(DataError, match=r"1 of 3 segments lost: 0:00:00\.060 to 0:00:00\.120"):
        codec.verify(bytes(damaged), small_model())
    with pytest.raises(DataError, match="was not found"):
        codec.verify(packed)


def test_info_is_as_soundfile_s(folder):
    path = folder / "a.wav.wvst"
    found, expected = codec.info(path), soundfile.info(folder / "a.wav")
    for name in ("samplerate", "channels", "frames", "duration", "subtype"):
        assert getattr(found, name) == getattr(expected, name)
    size, samples = path.stat().st_size, 1300 * 2
    assert (found.size, found.samples, found.path) == (size, samples, str(path))
    content = (folder / "a.wav").read_bytes()
    assert (found.original_size, found.segment, found.problem) == (len(content), 480, "")
    assert found.bits_per_sample == 8 * size / samples and found.ratio == size / len(content)
    assert found.source_hash == hashlib.blake2b(content, digest_size=16).hexdigest()
    assert dataclasses.replace(codec.info(path.read_bytes()), path=str(path)) == found
    assert repr(found).startswith(f"Info(path={str(path)!r}, size={size}, ") and "\n" not in repr(
        found
    )
    bytes_alone = codec.info(codec.compress(b"no WAV", small_model()))
    assert (bytes_alone.frames, bytes_alone.subtype, bytes_alone.original_size) == (0, "", 6)
    assert "frames" not in repr(bytes_alone)
    with pytest.raises(DataError):
        codec.info((folder / "a.wav").read_bytes())


PARTS = [
    *({}, {"start": 700}, {"start": 3, "stop": 900}, {"start": 1250, "frames": 500}),
    *({"start": -7}, {"start": -9999, "stop": -1290}, {"start": 2000}, {"start": 9, "stop": 5}),
    *({"frames": 0, "start": 5}, {"stop": 9999, "start": 1299}),
]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "int16"])
@pytest.mark.parametrize("part", PARTS)
def test_read_is_as_soundfile_s(folder, dtype, part):
    expected, rate = soundfile.read(folder / "a.wav", dtype=dtype, **part)
    found, found_rate = codec.read(folder / "a.wav.wvst", dtype=dtype, model=small_model(), **part)
    assert (found.dtype, found_rate) == (expected.dtype, rate)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("error", "given"),
    [
        (TypeError, {"frames": 10, "stop": 20}),
        (TypeError, {"frames": 0, "stop": -1}),
        (ValueError, {"dtype": "int8"}),
    ],
)
def test_read_refuses_what_soundfile_does(folder, error, given):
    with pytest.raises(error):
        soundfile.read(folder / "a.wav", **given)
    with pytest.raises(error):
        codec.read(folder / "a.wav.wvst", model=small_model(), **given)


@pytest.mark.parametrize("encoding", [Encoding.U8, Encoding.S24_BE, Encoding.MULAW, Encoding.F32])
def test_read_of_other_encodings(tmp_path, encoding):
    frames = tones(300)[:, None]
    if encoding.is_float:
        frames = frames / 2**15
    content = write_wav(
        tmp_path / "a.wav", frames % 256 if encoding.depth < 24 else frames, encoding
    )
    packed = codec.compress(content, small_model())
    expected, _ = soundfile.read(tmp_path / "a.wav", always_2d=True)
    np.testing.assert_array_equal(
        codec.read(packed, always_2d=True, model=small_model())[0], expected
    )
    if encoding.is_float:
        with pytest.raises(ValueError, match="which are no integers"):
            codec.read(packed, dtype="int16", model=small_model())


@pytest.fixture
def files(folder):
    """The WAV as `soundfile` opens it, and the compressed file."""
    with (
        soundfile.SoundFile(folder / "a.wav") as wav,
        codec.SoundFile(folder / "a.wav.wvst", model=small_model()) as packed,
    ):
        yield wav, packed


def test_a_file_is_as_soundfile_s(files):
    def properties(file):
        return file.samplerate, file.channels, file.frames, len(file), file.subtype, file.mode

    wav, packed = files
    assert properties(packed) == properties(wav) == (8000, 2, 1300, 1300, "PCM_16", "r")
    assert packed.seekable() and packed.format == "WVST"
    assert repr(packed).endswith(
        "a.wav.wvst'), mode='r', samplerate=8000, channels=2, frames=1300, format='WVST', "
        "subtype='PCM_16')"
    )
    for place in [(640,), (-30, io.SEEK_CUR), (-1, io.SEEK_END), (0, io.SEEK_END), (0, 1), (1300,)]:
        assert packed.seek(*place) == wav.seek(*place)
        assert packed.tell() == wav.tell()
        np.testing.assert_array_equal(packed.read(60), wav.read(60))
        assert packed.tell() == wav.tell()
    for place in [(1301,), (-1,), (1, io.SEEK_END), (-1301, io.SEEK_CUR), (0, 7)]:
        for file in files:
            with pytest.raises(soundfile.SoundFileRuntimeError):
                file.seek(*place)
        assert packed.tell() == wav.tell()
    for file in files:
        assert not file.closed
        file.close()
        file.close()
        assert file.closed and file.frames == 1300
        for use in (file.read, file.tell, lambda file=file: next(file.blocks(5))):
            with pytest.raises(soundfile.SoundFileRuntimeError, match="closed file"):
                use()


@pytest.mark.parametrize(
    "given",
    [
        *((170,), (130,), (5000,), (1, 0, 3), (400, 100), (400, 399, 410), (100, 30, 100)),
        *((2000, 10), (100, 5, 0), (300, 20, -1, "int16", True)),
    ],
)
def test_blocks_are_as_soundfile_s(files, given):
    blocks = []
    for file in files:
        file.seek(100)
        blocks.append([*file.blocks(*given)])
    assert [block.shape for block in blocks[0]] == [block.shape for block in blocks[1]]
    for expected, found in zip(*blocks, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert files[0].tell() == files[1].tell()


def test_blocks_that_would_never_end(files):
    for given in [(0,), (-1,), (5, 5), (5, 9), (5, -1)]:
        with pytest.raises(ValueError, match=r"blocksize=.* expected an overlap"):
            next(files[1].blocks(*given))
    # Whoever changes a block does not change the next one.
    for block in files[1].blocks(400, 100):
        assert block[:100].any()
        block[:] = 0


def test_arguments_of_another_kind(folder):
    for call in (codec.compress, codec.decompress, codec.read, codec.SoundFile):
        with pytest.raises(TypeError, match=r"got ndarray, expected a path, .*codec\.write"):
            call(np.zeros(5), model=small_model())
    with (
        open(folder / "a.wav", encoding="latin1") as file,
        pytest.raises(TypeError, match="got TextIOWrapper, expected"),
    ):
        codec.compress(file, small_model())
    with pytest.raises(FileNotFoundError, match=r"fsat: no such model file.*best, normal, fast"):
        codec.compress(b"", "fsat")
    for given in ({"segment": 0}, {"segment": -1}, {"num_threads": 0}, {"num_threads": -1}):
        with pytest.raises(ValueError, match=r"=(0|-1): expected at least 1"):
            codec.compress(b"", small_model(), **given)
    with pytest.raises(ValueError, match="num_threads=0: expected"):
        codec.decompress(folder / "a.wav.wvst", num_threads=0)
    for mode in ("w", small_model()):
        with pytest.raises(ValueError, match=r"expected 'r' \(codec\.write writes"):
            codec.SoundFile(folder / "a.wav.wvst", mode)


def test_names_are_listed_before_they_are_used():
    assert set(codec.__all__) <= set(dir(codec)) - set(vars(codec))
    assert not {"Any", "TYPE_CHECKING"} & set(dir(codec))


def test_models_that_ship(folder):
    content = (folder / "a.wav").read_bytes()
    packed = codec.compress(content, "fast")
    assert len(packed) < len(codec.compress(content, small_model()))
    assert codec.decompress(packed) == content
    assert len(codec.compress(content)) < len(packed)  # The best.


@pytest.mark.parametrize("size", [0, 6, 2**20, 2**20 + 1, 2**21 + 5])
def test_info_knows_the_original_size_without_decoding(size):
    content = np.random.default_rng(0).bytes(size)
    packed = codec.compress(content, small_model())
    found = codec.info(packed)
    assert (found.original_size, found.problem) == (size, "")
    assert found.ratio == (len(packed) / size if size else 0)
    if size:  # The last block of bytes is read for it; it lies before the end's 22 bytes.
        damaged = bytearray(packed)
        damaged[-23] ^= 1
        found = codec.info(bytes(damaged))
        assert found.original_size == 0 and "is damaged" in found.problem
