#!/usr/bin/env bash
# The codec on arm64, in an emulator, against this machine: golden files, and files of one that the
# other decodes. Not a part of the tests: it takes ten to thirty minutes, most of them to compile.
#
#   tests/arm64.sh FOLDER [MODEL.npz] [FILE.wav ...]
#
# FOLDER is kept, and holds an arm64 userland of Debian's packages and of wheels. Needed here: Debian
# or a derivative (apt-get, dpkg-deb, and a sources.list whose mirror has arm64), Python 3.11 (as
# Debian 12 has) with wavestream's dependencies, and pip. Nothing is installed on this machine.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
model=$(realpath "${2:-$root/tests/golden/model.npz}")
shift $(($# < 2 ? $# : 2))
files=()
for file in "$@"; do files+=("$(realpath "$file")"); done
cd "$folder"

apt=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root
  -o Dir::State="$folder/apt" -o Dir::State::status="$folder/apt/status" -o Dir::Cache="$folder/apt")
if [ ! -e system/usr/bin/python3.11 ]; then
  mkdir -p apt/lists/partial apt/archives/partial system
  touch apt/status
  apt-get "${apt[@]}" -q update
  apt-get "${apt[@]}" -q install -y --download-only --no-install-recommends \
    python3.11 libstdc++6 libgomp1
  for package in apt/archives/*.deb; do dpkg-deb -x "$package" system; done
  apt-get -q download qemu-user-static
  dpkg-deb -x qemu-user-static_*.deb qemu
fi
if [ ! -e packages ]; then
  platforms=()
  for glibc in 2_28 2_27 2_17; do platforms+=(--platform "manylinux_${glibc}_aarch64"); done
  python3 -m pip install -q --target packages --only-binary=:all: --python-version 3.11 \
    --implementation cp "${platforms[@]}" --platform manylinux2014_aarch64 \
    numpy numba absl-py tqdm soundfile
fi

here() {
  (cd "$root" && XDG_CACHE_HOME="$folder/cache_here" python3 "$@")
}
# Of the processor that is emulated the newest vector units, too: they must not matter.
arm64() {
  (cd "$root" && PYTHONPATH="$folder/packages" XDG_CACHE_HOME="$folder/cache_arm64" \
    PYTHONDONTWRITEBYTECODE=1 "$folder/qemu/usr/bin/qemu-aarch64-static" -cpu max \
    -L "$folder/system" "$folder/system/usr/bin/python3.11" "$@")
}

arm64 -c 'import platform; print(platform.machine(), platform.python_version())'
arm64 -m tests.golden.check
if [ ${#files[@]} -eq 0 ]; then
  # The golden files' sources, by way of the commands.
  here main.py decompress --model="$model" --output_dir="$folder/sources" --force tests/golden
  files=("$folder/sources")
fi
here main.py compress --model="$model" --output_dir="$folder/by_us" --force "${files[@]}"
arm64 main.py compress --model="$model" --output_dir="$folder/by_arm64" --force "${files[@]}"
diff -r "$folder/by_us" "$folder/by_arm64"
arm64 main.py decompress --model="$model" --output_dir="$folder/there" --force "$folder/by_us"
here main.py decompress --model="$model" --output_dir="$folder/back" --force "$folder/by_arm64"
diff -r "$folder/there" "$folder/back"
echo "arm64: the same bytes, both ways"
