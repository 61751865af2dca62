"""CIFAR files as published are read like torchvision reads them; anything else is refused and nothing is run."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchvision import datasets

import cifar_files
from regdrop.errors import DataError
from regdrop.tasks.sources.images import cifar
from regdrop.tasks.sources.images.cifar import read_cifar

WRITE = {"archive": cifar_files.write_archive, "folder": cifar_files.write_folder}


@pytest.mark.parametrize("form", WRITE)
@pytest.mark.parametrize("classes", [10, 100])
def test_images_and_labels_are_those_of_the_files(tmp_path, classes, form):
    content = cifar_files.files(classes, 3)
    WRITE[form](tmp_path, classes, content)
    train, test = read_cifar(classes, str(tmp_path))
    parts = [cifar_files.rows(3, seed) for seed in range(len(content))]
    wanted = np.concatenate(parts[:-1]).reshape(-1, 3, 32, 32)
    assert torch.equal(train.pixels, torch.from_numpy(wanted))
    assert torch.equal(test.pixels, torch.from_numpy(parts[-1].reshape(-1, 3, 32, 32)))
    assert train.labels.tolist() == cifar_files.labels(3, classes) * (len(content) - 1)
    assert (train.classes, test.labels.tolist()) == (classes, cifar_files.labels(3, classes))


@pytest.mark.parametrize("classes", [10, 100])
def test_torchvision_reads_the_same(tmp_path, monkeypatch, classes):
    cifar_files.write_folder(tmp_path, classes, cifar_files.files(classes, 4))
    kind = {10: datasets.CIFAR10, 100: datasets.CIFAR100}[classes]
    names = cifar_files.FILES[classes]
    monkeypatch.setattr(kind, "_check_integrity", lambda self: True)
    monkeypatch.setattr(kind, "_load_meta", lambda self: None)
    theirs = kind(str(tmp_path), train=True)
    ours, _ = read_cifar(classes, str(tmp_path))
    assert torch.equal(ours.pixels, torch.from_numpy(theirs.data).permute(0, 3, 1, 2))
    assert ours.labels.tolist() == theirs.targets
    assert len(ours) == 4 * (len(names) - 1)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_files_that_python_3_pickled_are_read_as_well(tmp_path, protocol):
    array = cifar_files.rows(2, 0)
    data = pickle.dumps({"data": array, "fine_labels": [5, 99]}, protocol=protocol)
    cifar_files.write_folder(tmp_path, 100, {"train": data, "test": data})
    train, _ = read_cifar(100, str(tmp_path))
    assert torch.equal(train.pixels.flatten(1), torch.from_numpy(array))
    assert train.labels.tolist() == [5, 99]


class Call:
    def __reduce__(self):
        return (print, ("executed",))


ROWS = cifar_files.rows(2, 0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps({"data": ROWS, "fine_labels": Call()}, protocol=2), r"calls '(__builtin__|builtins)' 'print'"),
        (cifar_files.pickled(ROWS, 100, [1, 2])[:-900], "truncated|damaged|cut"),
        (cifar_files.pickled(ROWS, 100, [1]), "has 2 images, but 1 fine_labels"),
        (cifar_files.pickled(ROWS, 100, [1, 100]), "not a list of 0 to 99"),
        (cifar_files.pickled(ROWS[:, :-1].copy(), 100, [1, 2]), r"shape \(2, 3071\)"),
        (cifar_files.pickled(ROWS, 10, [1, 2]), "has no data and fine_labels"),
        (pickle.dumps({"data": ROWS.astype(float), "fine_labels": [1, 2]}, protocol=2), "only u1 are read"),
        (pickle.dumps([1, 2], protocol=2), "has no data and fine_labels"),
        (b"", "truncated"),
    ],
)
@pytest.mark.parametrize("form", WRITE)
def test_hostile_and_damaged_files_are_refused_unrun(tmp_path, capsys, form, data, message):
    WRITE[form](tmp_path, 100, {"train": data, "test": data})
    with pytest.raises(DataError, match=message) as caught:
        read_cifar(100, str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert "executed" not in capsys.readouterr().out


def test_a_damaged_or_incomplete_archive_is_named(tmp_path):
    path = tmp_path / cifar_files.ARCHIVES[100]
    cifar_files.write_archive(tmp_path, 100, cifar_files.files(100, 2))
    whole = path.read_bytes()
    for damage in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(damage)
        with pytest.raises(DataError, match=r"cifar-100-python\.tar\.gz.*fetch it again"):
            read_cifar(100, str(tmp_path))
    cifar_files.write_archive(tmp_path, 100, {"train": cifar_files.files(100, 2)["train"]})
    with pytest.raises(DataError, match="cifar-100-python/test is missing"):
        read_cifar(100, str(tmp_path))


def test_a_part_over_the_limit_is_not_read(tmp_path, monkeypatch):
    cifar_files.write_archive(tmp_path, 100, cifar_files.files(100, 2))
    monkeypatch.setattr(cifar, "MAX_PART_BYTES", 100)
    with pytest.raises(DataError, match="at most 100"):
        read_cifar(100, str(tmp_path))


@pytest.mark.parametrize("classes", [10, 100])
def test_missing_cifar_says_how_to_get_it(tmp_path, monkeypatch, classes):
    def no_network(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr(cifar, "download_url", no_network)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=rf"Name or service not known.*--data\.path.*{cifar_files.ARCHIVES[classes]}"):
        read_cifar(classes, None)
    with pytest.raises(DataError, match=rf"no CIFAR-{classes} in {tmp_path}.*{cifar_files.FOLDERS[classes]}"):
        read_cifar(classes, str(tmp_path))


def test_what_is_downloaded_is_read_and_kept(tmp_path, monkeypatch):
    asked = []

    def download(url, root, filename, md5):
        asked.append((filename, md5))
        cifar_files.write_archive(root, 100, cifar_files.files(100, 2))

    monkeypatch.setattr(cifar, "download_url", download)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert len(read_cifar(100, None)[0]) == len(read_cifar(100, None)[0]) == 2
    assert asked == [("cifar-100-python.tar.gz", datasets.CIFAR100.tgz_md5)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(place=st.integers(0, 500), byte=st.integers(0, 255))
def test_no_byte_makes_it_fail_otherwise(tmp_path, place, byte):
    data = bytearray(cifar_files.pickled(ROWS, 100, [1, 2]))
    data[place] = byte
    path = tmp_path / "part"
    path.write_bytes(data)
    try:
        images = cifar._read_file(path, cifar.KINDS[100])
    except DataError:
        return
    assert images.pixels.shape == (2, 3, 32, 32)
