"""CIFAR files as Python 2 pickled them, opcode by opcode, with random images; the archive and its unpacked folder."""

import io
import pickle
import struct
import tarfile

import numpy as np

FILES = {10: [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"], 100: ["train", "test"]}
FOLDERS = {10: "cifar-10-batches-py", 100: "cifar-100-python"}
ARCHIVES = {10: "cifar-10-python.tar.gz", 100: "cifar-100-python.tar.gz"}
LABELS = {10: "labels", 100: "fine_labels"}
ROW = 3 * 32 * 32


def rows(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, ROW), dtype=np.uint8)


def labels(count, classes):
    return [(7 * i) % classes for i in range(count)]


def _name(text):
    return pickle.SHORT_BINSTRING + bytes([len(text)]) + text.encode()


def _number(value):
    return pickle.BININT + struct.pack("<i", value)


def _array(array):
    blank = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + b"K\x00\x85" + _name("b") + b"\x87R"
    dtype = b"cnumpy\ndtype\n" + _name("u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + _name("|") + b"NNN" + _number(-1) * 2 + b"K\x00tb"
    shape = b"".join(map(_number, array.shape))
    data = pickle.BINSTRING + struct.pack("<i", array.nbytes) + array.tobytes()
    return blank + b"(K\x01(" + shape + b"t" + dtype + b"\x89" + data + b"tb"


def pickled(array, classes, numbers):
    """One file of CIFAR: its rows, its labels, and a file name each, which nobody reads."""
    listed = b"](" + b"".join(map(_number, numbers)) + b"e"
    names = b"](" + b"".join(_name(f"{i}.png") for i in range(len(numbers))) + b"e"
    items = _name("data") + _array(array) + _name(LABELS[classes]) + listed + _name("filenames") + names
    return b"\x80\x02}q\x01(" + items + b"u."


def files(classes, count):
    """All files of a data set, `count` images each."""
    return {
        name: pickled(rows(count, seed), classes, labels(count, classes)) for seed, name in enumerate(FILES[classes])
    }


def write_archive(folder, classes, content):
    """The .tar.gz as it is published."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / ARCHIVES[classes], "w:gz", compresslevel=1) as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(f"{FOLDERS[classes]}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def write_folder(folder, classes, content):
    """The folder that the archive unpacks to."""
    (folder / FOLDERS[classes]).mkdir(parents=True)
    for name, data in content.items():
        (folder / FOLDERS[classes] / name).write_bytes(data)
