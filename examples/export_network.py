"""Gives one task's network to a program that knows nothing of hypernetworks: an ordinary state dict."""

import torch
from torch import nn

from hnet_cl import load, run

result = run("benchmark=toy", "method=hnet", "training.iterations=100", "target.hidden=[10]", seed=2)
learner = load(result.folder)
file = learner.export(2, "task_2.pt")  # or .safetensors, or .onnx: pip install 'hnet-cl[export]'

own = nn.Sequential(nn.Linear(2, 10), nn.ReLU(), nn.Linear(10, 6))  # the target network, written anew
own.load_state_dict(dict(zip(own.state_dict(), torch.load(file, weights_only=True).values(), strict=True)))

inputs = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
classes = own(inputs)[:, learner.outputs(2)].argmax(1)
print(f"{file} answers {classes.tolist()}, the learner {learner.predict(inputs, task=2).label.tolist()}")
