from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torchvision import datasets

from regdrop.errors import DataError
from regdrop.tasks.sources import download
from regdrop.tasks.sources.download import DEBIAN_FASHION_MNIST, read_cifar, read_fashion_mnist


@pytest.fixture
def empty_machine(monkeypatch, tmp_path):
    """No data set anywhere, and no network."""
    monkeypatch.setattr(download, "DEBIAN_FASHION_MNIST", tmp_path / "absent")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def no_network(*args, **kwargs):
        raise OSError("Name or service not known")

    for kind in ("FashionMNIST", "CIFAR10", "CIFAR100"):
        monkeypatch.setattr(getattr(datasets, kind), "download", no_network)
    return tmp_path


def test_missing_fashion_mnist_says_how_to_get_it(empty_machine):
    with pytest.raises(
        DataError, match=r"Name or service not known.*apt-get install dataset-fashion-mnist.*--data\.path"
    ):
        read_fashion_mnist(None)
    with pytest.raises(DataError, match=rf"no Fashion-MNIST in {empty_machine}.*apt-get"):
        read_fashion_mnist(str(empty_machine))


@pytest.mark.parametrize(("classes", "folder"), [(10, "cifar-10-batches-py"), (100, "cifar-100-python")])
def test_missing_cifar_says_how_to_get_it(empty_machine, classes, folder):
    with pytest.raises(DataError, match=rf"Name or service not known.*--data\.path FOLDER.*{folder}"):
        read_cifar(classes, None)
    with pytest.raises(DataError, match=rf"no CIFAR-{classes} in {empty_machine}"):
        read_cifar(classes, str(empty_machine))


def test_cifar_is_turned_from_rows_of_colours_into_channels(monkeypatch):
    data = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    part = SimpleNamespace(data=data, targets=[3, 1, 2, 0])
    loaded = []
    monkeypatch.setattr(
        datasets, "CIFAR10", lambda root, train, download: loaded.append((root, train, download)) or part
    )
    train, test = read_cifar(10, "here")
    assert loaded == [("here", True, False), ("here", False, False)]
    assert train.pixels.shape == (4, 3, 32, 32)
    assert torch.equal(train.pixels[1, :, 5, 7], torch.from_numpy(data[1, 5, 7]))
    assert test.labels.tolist() == [3, 1, 2, 0]


@pytest.mark.skipif(not DEBIAN_FASHION_MNIST.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist():
    train, test = read_fashion_mnist(None)
    assert train.pixels.shape == (60_000, 1, 28, 28)
    assert torch.bincount(train.labels).tolist() == [6000] * 10
    assert torch.bincount(test.labels).tolist() == [1000] * 10
