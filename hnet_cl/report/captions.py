"""The names of the figures of a report, and what each of them shows."""

from hnet_cl.core.scores import SCORES, Score
from hnet_cl.records.metrics_table import METRICS

NEEDS = {  # of figures that many runs do not have
    "certified": "certified accuracy is that of method=hint, from two tasks on",
    "sensitivity": "rows have to differ in one number alone: --rows KEY, and --where KEY=VALUE to leave others out",
    "stability_gap": "it is measured with training.eval_window",
    "task_embeddings": "hypernetworks have them; drawn from three tasks on, or two where they have two dimensions",
}
OWN = ("memory", "stability_gap", "certified", "sensitivity", "task_embeddings")


def names(score: Score) -> tuple[str, ...]:
    """Returns the names of the figures of a score, in the order in which they are drawn."""
    start = "" if score.higher_is_better else f"{score.name}_"
    own = (f"{start}{name}" for name in OWN)
    return score.name, f"{start}during_final", f"{start}{score.loss}", score.matrix, *own


def captions() -> dict[str, str]:
    """Returns a caption for each figure, by name."""
    spread = "with its standard error over seeds"
    found: dict[str, str] = {}
    for score in SCORES.values():
        title, lost = (text[0].upper() + text[1:] for text in (score.title, METRICS[score.loss].title))
        texts = (
            f"Mean {score.title} over the tasks learned so far, {spread}",
            f"{title} right after learning and after the last task, {spread}",
            f"{lost}, {spread}",
            f"{title} matrices, mean over seeds",
            f"Mean {score.title} after the last task over the memory kept then, {spread}",
            f"Mean {score.title} on old tasks while the next one is learned, {spread}",
            f"Measured and certified {score.title} on old tasks over the tasks learned so far, {spread}",
            f"Mean {score.title} right after learning and after the last task over a setting, {spread}",
            "Task embeddings of one seed, joined in the order in which tasks are learned (PC: principal component)",
        )
        found |= zip(names(score), texts, strict=True)
    return found
