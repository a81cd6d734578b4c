"""How configurations said which data they are of before datasets had a node of their own.

Their ids are made of that form, and old run folders hold it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TARGET = "_target_"
SPLIT, PERMUTED = "hnet_cl.benchmarks.split.SplitClasses", "hnet_cl.benchmarks.permuted.PermutedPixels"
CELEBA_TASKS = "hnet_cl.benchmarks.f_celeba.FCelebA"
MNIST, CIFAR = "hnet_cl.datasets.mnist.MNIST", "hnet_cl.datasets.cifar.CIFAR"
CELEBA = "hnet_cl.datasets.celeba.CelebA"


@dataclass(frozen=True)
class Form:
    """One class that was both, `former`, and what it is now.

    Attributes:
        keys: what keys of the benchmark are called now, by their former names, if they have others.
        data_keys: what keys are called that are the dataset's now: all that it has beside its name.
        came_later: keys of the benchmark that there were not, with the value that changes nothing.
    """

    former: str
    benchmark: str
    dataset: str
    keys: Mapping[str, str]
    data_keys: Mapping[str, str]
    came_later: Mapping[str, Any]


FORMS = (
    Form("hnet_cl.benchmarks.permuted_mnist.PermutedMNIST", PERMUTED, MNIST, {}, {"source": "source"}, {}),
    Form(
        "hnet_cl.benchmarks.split_mnist.SplitMNIST",
        SPLIT,
        MNIST,
        {"shuffle_digits": "shuffle_classes"},
        {"source": "source"},
        {},
    ),
    Form(
        "hnet_cl.benchmarks.split_cifar.SplitCIFAR",
        SPLIT,
        CIFAR,
        {},
        {"classes_from": "sets", "verify": "verify", "augment": "augment", "normalize": "normalize"},
        {"shuffle_classes": False, "seed": 42},
    ),
    Form(CELEBA_TASKS, CELEBA_TASKS, CELEBA, {}, {"size": "size", "augment": "augment"}, {}),
)
DATASET_NAMES = {  # of benchmarks, where it is not that of the class
    "pmnist_mini": "mnist_5k",
    "split_cifar": "cifar10_100",
    "split_cifar10": "cifar10",
    "split_cifar100": "cifar100",
}
MOVED_KEYS = {
    f"benchmark.{before}": f"{group}.{now}"
    for form in FORMS
    for group, keys in (("benchmark", form.keys), ("dataset", form.data_keys))
    for before, now in keys.items()
}


def in_former_shape(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration as it was written before, if it could be; else as it is."""
    benchmark, dataset = config.get("benchmark"), config.get("dataset")
    if isinstance(benchmark, Mapping) and isinstance(dataset, Mapping):
        for form in FORMS:
            same = (form.benchmark, form.dataset) == (benchmark.get(TARGET), dataset.get(TARGET))
            if same and all(benchmark.get(key) == value for key, value in form.came_later.items()):
                own = {key: value for key, value in benchmark.items() if key not in form.came_later}
                data = {key: value for key, value in dataset.items() if key not in (TARGET, "name")}
                node = _renamed(own, form.keys) | _renamed(data, form.data_keys) | {TARGET: form.former}
                return {key: value for key, value in config.items() if key != "dataset"} | {"benchmark": node}
    return dict(config)


def in_todays_shape(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration of an old run folder as it is written now; one that is of today as it is."""
    benchmark = config.get("benchmark")
    if not isinstance(benchmark, Mapping) or "dataset" in config:
        return dict(config)
    form = next((form for form in FORMS if form.former == benchmark.get(TARGET)), None)
    if form is None:
        return dict(config)
    own = {form.keys.get(key, key): value for key, value in benchmark.items() if key not in form.data_keys}
    data = {now: benchmark[before] for before, now in form.data_keys.items() if before in benchmark}
    usual = form.dataset.rpartition(".")[2].lower()
    name = DATASET_NAMES.get(str(benchmark.get("name")), usual)
    return dict(config) | {
        "benchmark": {**form.came_later, **own, TARGET: form.benchmark},
        "dataset": {TARGET: form.dataset, "name": name, **data},
    }


def _renamed(node: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """With the former names of keys."""
    former = {now: before for before, now in keys.items()}
    return {former.get(key, key): value for key, value in node.items()}
