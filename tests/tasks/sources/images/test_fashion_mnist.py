import pytest
import torch
from torchvision import datasets

from regdrop.errors import DataError
from regdrop.tasks.sources.images import fashion_mnist
from regdrop.tasks.sources.images.fashion_mnist import DEBIAN_FASHION_MNIST, read_fashion_mnist


@pytest.fixture
def empty_machine(monkeypatch, tmp_path):
    """No data set anywhere, and no network."""
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FASHION_MNIST", tmp_path / "absent")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def no_network(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr(datasets.FashionMNIST, "download", no_network)
    return tmp_path


def test_missing_fashion_mnist_says_how_to_get_it(empty_machine):
    with pytest.raises(
        DataError, match=r"Name or service not known.*apt-get install dataset-fashion-mnist.*--data\.path"
    ):
        read_fashion_mnist(None)
    with pytest.raises(DataError, match=rf"no Fashion-MNIST in {empty_machine}.*apt-get"):
        read_fashion_mnist(str(empty_machine))


@pytest.mark.skipif(not DEBIAN_FASHION_MNIST.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist():
    train, test = read_fashion_mnist(None)
    assert train.pixels.shape == (60_000, 1, 28, 28)
    assert torch.bincount(train.labels).tolist() == [6000] * 10
    assert torch.bincount(test.labels).tolist() == [1000] * 10
