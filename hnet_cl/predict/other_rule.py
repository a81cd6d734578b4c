"""Task inference by another rule than that of the run: one training, the figures of many rules."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from hnet_cl.benchmarks.base import Task
from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.resolvers import read_choice
from hnet_cl.core.chosen import Chosen
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.core.suggest import nearest
from hnet_cl.methods.parts.inference import TaskInference
from hnet_cl.methods.parts.inferring import InferringLearner
from hnet_cl.predict.trained import Trained

GROUP = "method/task_inference"


def use_rule(trained: Trained, tasks: Sequence[Task], name: str | None, together: int | None) -> str:
    """Lets a shipped rule infer the tasks of a trained learner; returns a line that says what now decides.

    What the rule measures on training data after each task, it measures now on the networks as they are after the last.

    Args:
        trained: the trained learner.
        tasks: all tasks that it learned.
        name: the rule's file in the group `method/task_inference`, with its default settings; None keeps the run's.
        together: how many consecutive test images decide together; None keeps the rule's own number.

    Raises:
        UserError: the learner infers no task by a rule, there is no such rule, or it is one that is trained.
    """
    learner = trained.learner
    if not isinstance(learner, InferringLearner) or learner.heads.task_known:
        key = "images_per_decision" if name is None else "task_inference"
        raise UserError(
            f"{key}: method={trained.plan.method.name} with scenario={trained.plan.scenario.name} infers no task by a "
            "rule; give the run of one that does, as method=hnet_ent scenario=cl3"
        )
    before = learner.task_inference
    if name is not None:
        learner.choose_rule(_chosen(name, trained, together), before.context, before.networks)
        for number in range(1, len(tasks) + 1):
            learner.task_inference.begin_task(tasks[:number])
            learner.eval().task_inference.end_task()
    elif together is not None:
        if not hasattr(before.settings, "images_per_decision"):
            raise UserError("images_per_decision: the rule of this run has no such setting; name a rule of hnet_cl")
        before.settings = before.settings.model_copy(update={"images_per_decision": together})
        learner.images_per_decision = together
    rule = f"the run's own, {type(before).__name__}" if name is None else name
    count = learner.images_per_decision
    return f"rule: {rule}" + (f"; {count} images at a time decide together, another protocol" * (count > 1))


def _chosen(name: str, trained: Trained, together: int | None) -> Chosen[TaskInference]:
    """Returns a shipped rule that needs no training, with its settings."""
    names = [choice for choice in choices(conf_dir(), GROUP) if choice != "given"]
    if name not in names:
        raise UserError(f"task_inference={shown(name)}: no such rule{nearest(name, names)}")
    settings = read_choice(GROUP, name)
    if "defaults" in settings:  # it has parts
        raise UserError(f"task_inference={name}: is trained with a run; choose it there, as {GROUP}={name}")
    if together is not None:
        settings["images_per_decision"] = together
    chosen = TypeAdapter(Chosen[TaskInference]).validate_python(settings)
    if reason := chosen.kind.unsupported(trained.plan.scenario):
        raise UserError(f"task_inference={name}: {reason}")
    return chosen
