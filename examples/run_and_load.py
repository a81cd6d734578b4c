"""Trains a hypernetwork on three tasks, then asks what it has learned. Seconds on a CPU."""

import torch

from hnet_cl import load, run

result = run("benchmark=toy", "method=hnet", "training.iterations=100", seed=2)  # the same again: returns at once
print(f"accuracy after each task, in {result.folder}:\n{result.matrix.round(3)}")

learner = load(result.folder)
print(learner)
print(f"embeddings of the tasks: {tuple(learner.task_embeddings.shape)}")
for task in range(1, learner.num_tasks + 1):
    norm = torch.cat([weight.flatten() for weight in learner.generated(task).values()]).norm()
    print(f"task {task}: norm of the generated weights {norm:.2f}")

answers = learner.predict([[0.0, 1.0], [1.0, 0.0]], task=1)
print(f"task 1 says {answers.label.tolist()} with confidence {answers.confidence.round(2).tolist()}")
