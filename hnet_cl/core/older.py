"""Configurations of earlier versions: one chain of dated steps leads from their form to today's and back.

Run folders hold configurations in the form of the version that wrote them; `upgraded` converts them to today's. Ids are
hashes of the oldest form, so that the runs of all versions are found; `as_before` converts today's form to that one.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

Change = Callable[[Mapping[str, Any]], dict[str, Any]]  # from one configuration, or node of one, to another

TARGET = "_target_"


class Step(NamedTuple):
    """A change of the form of configurations; both ways leave what is in the form that they lead to as it is."""

    upgrade: Change
    downgrade: Change


def upgraded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a resolved configuration of any version in today's form; the argument is not changed."""
    for step in STEPS:
        config = step.upgrade(config)
    return dict(config)


def as_before(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a resolved configuration in the oldest form, which ids are hashes of; the argument is not changed."""
    for step in reversed(STEPS):
        config = step.downgrade(config)
    return dict(config)


def new_key(dotted: str) -> str | None:
    """Returns today's name of a dotted key of the method; None if it was not renamed."""
    parent, _, last = dotted.rpartition(".")
    known = parent.split(".")[0] == "method"
    return next((f"{parent}.{one.new}" for one in RENAMED if known and last == one.old), None)


def advice_on(key: str, known: Collection[str]) -> str | None:
    """Returns what has become of a dotted key of earlier versions, to be said after its name.

    Args:
        key: the key, as typed.
        known: the keys that there are today.

    Returns:
        the end of a line, or None if the key is not such a one.
    """
    if key == f"method.{RULE}.{RULE_WORD}":
        return f"is chosen by its file now; give method/{RULE}=NAME"
    new = new_key(key)
    return f"is called {new} now" if new in known else None


def _everywhere(change: Change) -> Change:
    """Returns a change that makes `change` in every mapping of a configuration, in the inner ones first."""

    def changed(node: Mapping[str, Any]) -> dict[str, Any]:
        return change({key: changed(value) if isinstance(value, Mapping) else value for key, value in node.items()})

    return changed


class Renamed(NamedTuple):
    """A key `old` that is now called `new` in every mapping, at any depth, that also has the key `beside`."""

    beside: str
    old: str
    new: str


RENAMED = (Renamed(beside="hypernet", old="beta", new="strength"),)
PART = {"parameters": "all", "initial_weights": None, "initial_weights_checksum": None}
LORA = {"lora_rank": 4, "lora_scale": 1.0, "lora_layers": "*"}
WINDOW = {"eval_window": None, "eval_every": 10}
# Keys that were added later, below a key of the given name at any depth, with the values that earlier runs imply.
ADDED: Mapping[str, dict[str, Any]] = {
    "benchmark": {"pixel_noise": None, "fisher_samples": None},
    "hypernet": {"compression": None, "old_embeddings": "frozen", "init": "xavier"},
    "training": {"gradient_clip_norm": None, "likelihood": None, "log_variance": [-10.0, 0.5]} | PART | LORA | WINDOW,
}


def _with_new_keys(node: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.old: one.new for one in RENAMED if one.beside in node and one.new not in node}
    renamed = {names.get(key, key): value for key, value in node.items()}
    return {key: ADDED.get(key, {}) | value if isinstance(value, dict) else value for key, value in renamed.items()}


def _with_old_names(node: Mapping[str, Any]) -> dict[str, Any]:
    """Renames keys; keys that were added later stay, since ids ignore them at the values that earlier runs imply."""
    names = {one.new: one.old for one in RENAMED if one.beside in node}
    return {names.get(key, key): value for key, value in node.items()}


REGULARIZER = "regularizer"
GRAM, EXPLICIT, BLOCKS = (f"hnet_cl.hypernet.{kind}Regularizer" for kind in ("Gram", "Explicit", "Block"))
REGULARIZER_WORDS = {GRAM: "fast", EXPLICIT: "explicit", BLOCKS: "fast"}
TASKS, BLOCK_COUNT = ("regularized_tasks", "sampled_tasks"), ("regularized_blocks", "sampled_blocks")  # old, new


def _with_regularizer_class(node: Mapping[str, Any]) -> dict[str, Any]:
    word = node.get(REGULARIZER)
    if not isinstance(word, str) or word not in REGULARIZER_WORDS.values():
        return dict(node)
    tasks, blocks = (node.get(old) for old, _ in (TASKS, BLOCK_COUNT))
    part = {TARGET: EXPLICIT if word == "explicit" else GRAM, TASKS[1]: tasks}
    if blocks is not None:
        part = {TARGET: BLOCKS, BLOCK_COUNT[1]: blocks}
    return {key: value for key, value in node.items() if key not in (TASKS[0], BLOCK_COUNT[0])} | {REGULARIZER: part}


def _with_regularizer_word(node: Mapping[str, Any]) -> dict[str, Any]:
    part: Any = node.get(REGULARIZER)
    path: Any = part.get(TARGET) if isinstance(part, Mapping) else None
    known = isinstance(path, str) and path in REGULARIZER_WORDS
    if not known or (path == BLOCKS and part.get(BLOCK_COUNT[1]) is None):
        return dict(node)
    return {**node, REGULARIZER: REGULARIZER_WORDS[path], **{old: part.get(new) for old, new in (TASKS, BLOCK_COUNT)}}


RULE, RULE_WORD = "task_inference", "kind"
TASK_INFERENCE = {
    "given": "hnet_cl.methods.parts.inference.Given",
    "entropy": "hnet_cl.methods.parts.inference.Entropy",
    "classifier": "hnet_cl.methods.parts.task_classifier.TaskClassifier",
}


def _with_rule_class(config: Mapping[str, Any]) -> dict[str, Any]:
    return _with_rule(config, RULE_WORD, TARGET, TASK_INFERENCE)


def _with_rule_word(config: Mapping[str, Any]) -> dict[str, Any]:
    return _with_rule(config, TARGET, RULE_WORD, {path: word for word, path in TASK_INFERENCE.items()})


def _with_rule(config: Mapping[str, Any], old: str, new: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Replaces the key `old` of `method.task_inference` by `new`, and its value as `values` says, if it is in there."""
    method: Any = config.get("method")
    rule: Any = method.get(RULE) if isinstance(method, Mapping) else None
    said = rule.get(old) if isinstance(rule, Mapping) else None
    if not isinstance(said, str) or said not in values or new in rule:
        return dict(config)
    changed = {new if key == old else key: values[said] if key == old else value for key, value in rule.items()}
    return {**config, "method": {**method, RULE: changed}}


ADAM = {TARGET: "torch.optim.Adam", "weight_decay": 0.0}  # of all runs before


def _with_optimizer(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"optimizer": ADAM, "lr_scheduler": None, **config}


class Form(NamedTuple):
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


SPLIT, PERMUTED = "hnet_cl.benchmarks.split.SplitClasses", "hnet_cl.benchmarks.permuted.PermutedPixels"
CELEBA_TASKS = "hnet_cl.benchmarks.f_celeba.FCelebA"
MNIST, CIFAR = "hnet_cl.datasets.mnist.MNIST", "hnet_cl.datasets.cifar.CIFAR"
CELEBA = "hnet_cl.datasets.celeba.CelebA"
SOURCE = {"source": "source"}
CIFAR_KEYS = {"classes_from": "sets", "verify": "verify", "augment": "augment", "normalize": "normalize"}
FORMS = (
    Form("hnet_cl.benchmarks.permuted_mnist.PermutedMNIST", PERMUTED, MNIST, {}, SOURCE, {}),
    Form("hnet_cl.benchmarks.split_mnist.SplitMNIST", SPLIT, MNIST, {"shuffle_digits": "shuffle_classes"}, SOURCE, {}),
    Form(
        "hnet_cl.benchmarks.split_cifar.SplitCIFAR",
        SPLIT,
        CIFAR,
        {},
        CIFAR_KEYS,
        {"shuffle_classes": False, "seed": 42},
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


def _with_dataset(config: Mapping[str, Any]) -> dict[str, Any]:
    benchmark = config.get("benchmark")
    if not isinstance(benchmark, Mapping) or "dataset" in config:
        return dict(config)
    form = next((form for form in FORMS if form.former == benchmark.get(TARGET)), None)
    if form is None:
        return dict(config)
    own = {form.keys.get(key, key): value for key, value in benchmark.items() if key not in form.data_keys}
    data = {now: benchmark[before] for before, now in form.data_keys.items() if before in benchmark}
    name = DATASET_NAMES.get(str(benchmark.get("name")), form.dataset.rpartition(".")[2].lower())
    return {
        **config,
        "benchmark": {**form.came_later, **own, TARGET: form.benchmark},
        "dataset": {TARGET: form.dataset, "name": name, **data},
    }


def _without_dataset(config: Mapping[str, Any]) -> dict[str, Any]:
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


def _renamed(node: Mapping[str, Any], former: Mapping[str, str]) -> dict[str, Any]:
    names = {now: before for before, now in former.items()}
    return {names.get(key, key): value for key, value in node.items()}


# Keys that classes have gained, wherever they are chosen, with the values that correspond to all earlier runs.
GAINED: Mapping[str, Mapping[str, Any]] = {
    SPLIT: {"tasks": None, "keep_remainder": False},
    TASK_INFERENCE["entropy"]: {"images_per_decision": 1},
    TASK_INFERENCE["classifier"]: {"images_per_decision": 1},
    "hnet_cl.methods.scratch.Scratch": {RULE: {TARGET: TASK_INFERENCE["entropy"], "temperature": 1.0}},
}


# The same for classes and all that are derived from them, known by keys that only they have.
GAINED_BESIDE: Mapping[tuple[str, ...], Mapping[str, Any]] = {
    ("new_embedding", "mask_heads"): {"base": "zero"},
    ("hypernet", "lookahead"): {"update": "joint"},
}


def _gained_by(node: Mapping[str, Any]) -> dict[str, Any]:
    kind = node.get(TARGET)
    gained = dict(GAINED.get(kind, {})) if isinstance(kind, str) else {}
    for beside, values in GAINED_BESIDE.items():
        gained |= values if node.keys() >= set(beside) else {}
    return gained


def _with_gained_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    node = {**_gained_by(config), **config}
    return {key: _with_gained_keys(value) if isinstance(value, Mapping) else value for key, value in node.items()}


def _without_gained_keys(node: Mapping[str, Any]) -> dict[str, Any]:
    gained = _gained_by(node)
    return {key: value for key, value in node.items() if key not in gained or value != gained[key]}


STEPS = (  # the earliest first
    # 2026-11-27: a hypernetwork's `beta` is `strength`; more keys
    Step(_everywhere(_with_new_keys), _everywhere(_with_old_names)),
    # 2026-11-27: a regulariser is chosen by a class path, no longer by a word and two keys beside it
    Step(_everywhere(_with_regularizer_class), _everywhere(_with_regularizer_word)),
    # 2026-11-27: a task-inference rule is chosen by a class path, no longer by a word
    Step(_with_rule_class, _with_rule_word),
    # 2026-11-27: the optimiser can be chosen; ids ignore it at the values that earlier runs imply
    Step(_with_optimizer, dict),
    # 2026-11-27: the dataset has a node of its own, and is no longer part of the benchmark's
    Step(_with_dataset, _without_dataset),
    # 2026-11-28: classes can be dealt out by lists, and remaining ones can be kept; a method from scratch has a rule;
    # rules can decide for several images at once; generated weights can be added to initial ones;
    # loss and regulariser can have a step each
    Step(_with_gained_keys, _everywhere(_without_gained_keys)),
)
