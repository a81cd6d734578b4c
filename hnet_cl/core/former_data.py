"""The former form of configurations, in which the benchmark's node also described the dataset.

Ids of configurations are hashes of that form, and old run folders contain it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TARGET = "_target_"
SPLIT, PERMUTED = "hnet_cl.benchmarks.split.SplitClasses", "hnet_cl.benchmarks.permuted.PermutedPixels"
CELEBA_TASKS = "hnet_cl.benchmarks.f_celeba.FCelebA"
OF_SPLIT: Mapping[str, Any] = {"tasks": None, "keep_remainder": False}  # keys that it has gained
MNIST, CIFAR = "hnet_cl.datasets.mnist.MNIST", "hnet_cl.datasets.cifar.CIFAR"
CELEBA = "hnet_cl.datasets.celeba.CelebA"


@dataclass(frozen=True)
class Form:
    """A former class that was both benchmark and dataset, and its two successors.

    Attributes:
        former: dotted path of the former class.
        benchmark: dotted path of today's benchmark.
        dataset: dotted path of today's dataset.
        keys: today's names of the benchmark's renamed keys, by their former names.
        data_keys: today's names of the keys that moved to the dataset, by their former names: all that it has besides
            its name.
        came_later: keys that the benchmark has gained, with the value that corresponds to the former behaviour.
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
        OF_SPLIT,
    ),
    Form(
        "hnet_cl.benchmarks.split_cifar.SplitCIFAR",
        SPLIT,
        CIFAR,
        {},
        {"classes_from": "sets", "verify": "verify", "augment": "augment", "normalize": "normalize"},
        {"shuffle_classes": False, "seed": 42, **OF_SPLIT},
    ),
    Form(CELEBA_TASKS, CELEBA_TASKS, CELEBA, {}, {"size": "size", "augment": "augment"}, {}),
)
DATASET_NAMES = {  # names of datasets by those of benchmarks, where they differ from the name of the dataset's class
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
    """Returns the configuration in its former form if it had one, otherwise unchanged."""
    benchmark, dataset = config.get("benchmark"), config.get("dataset")
    if isinstance(benchmark, Mapping) and isinstance(dataset, Mapping):
        for form in FORMS:
            same = (form.benchmark, form.dataset) == (benchmark.get(TARGET), dataset.get(TARGET))
            if same and all(benchmark.get(key, value) == value for key, value in form.came_later.items()):
                own = {key: value for key, value in benchmark.items() if key not in form.came_later}
                data = {key: value for key, value in dataset.items() if key not in (TARGET, "name")}
                node = _renamed(own, form.keys) | _renamed(data, form.data_keys) | {TARGET: form.former}
                return {key: value for key, value in config.items() if key != "dataset"} | {"benchmark": node}
    return dict(config)


def in_todays_shape(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration of an old run folder in today's form; one in today's form is unchanged."""
    benchmark = config.get("benchmark")
    if not isinstance(benchmark, Mapping):
        return dict(config)
    if "dataset" in config:
        gained = OF_SPLIT if benchmark.get(TARGET) == SPLIT else {}
        return dict(config) | {"benchmark": {**gained, **benchmark}}
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
    """Returns the node with its keys' former names."""
    former = {now: before for before, now in keys.items()}
    return {former.get(key, key): value for key, value in node.items()}
