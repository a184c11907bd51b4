"""Makes the example: 72 small images, the content links that name them, and the seed archive that holds them.

    python3 example/make.py

The images are plain PGM files of a moving ring; nothing but their hashes is in the source tree, as in a
project that keeps its test data out of git. The output is the same on every run.
"""

import base64
import gzip
import hashlib
import io
import math
import pathlib
import shutil
import tarfile

HERE = pathlib.Path(__file__).parent
ALGORITHMS = ["cid", "md5", "sha1", "sha256", "sha512", "sha3-256"]
PER_ALGORITHM = 12
SIZE = 48


def image(index: int) -> bytes:
    center = (SIZE / 2 + 9 * math.cos(index), SIZE / 2 + 9 * math.sin(index))
    rows = []
    for y in range(SIZE):
        row = []
        for x in range(SIZE):
            distance = math.hypot(x - center[0], y - center[1])
            row.append(str(round(255 * math.exp(-((distance - 10) ** 2) / 12))))
        rows.append(" ".join(row))
    return f"P2\n# frame {index}\n{SIZE} {SIZE}\n255\n".encode() + "\n".join(rows).encode() + b"\n"


def name_of(algorithm: str, data: bytes) -> str:
    if algorithm == "cid":
        raw = bytes([0x01, 0x55, 0x12, 0x20]) + hashlib.sha256(data).digest()
        return "b" + base64.b32encode(raw).decode().lower().rstrip("=")
    return hashlib.new(algorithm.replace("-", "_"), data).hexdigest()


def main() -> None:
    shutil.rmtree(HERE / "data", ignore_errors=True)
    objects: dict[str, bytes] = {}
    for index in range(len(ALGORITHMS) * PER_ALGORITHM):
        algorithm = ALGORITHMS[index % len(ALGORITHMS)]
        data = image(index)
        name = name_of(algorithm, data)
        link = HERE / "data" / algorithm / f"frame-{index:02}.pgm.{algorithm}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.write_text(name + "\n")
        objects[f"frames-1.0/objects/{algorithm.upper().replace('-', '_')}/{name}"] = data

    tar_bytes = io.BytesIO()
    with tarfile.open(fileobj=tar_bytes, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, data in sorted(objects.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mode, info.mtime = len(data), 0o644, 1_767_225_600
            tar.addfile(info, io.BytesIO(data))
    seed = HERE / "frames-1.0.tar.gz"
    seed.write_bytes(gzip.compress(tar_bytes.getvalue(), mtime=0))
    print(hashlib.sha256(seed.read_bytes()).hexdigest(), seed.name)


if __name__ == "__main__":
    main()
