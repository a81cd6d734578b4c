"""Runs three methods with two seeds each and compares them. What is finished is not run again."""

from hnet_cl import compare, results, run

for method in ("hnet", "ewc", "finetune"):
    for seed in (1, 2):
        run("benchmark=toy", "scenario=cl1", "training.iterations=100", method=method, seed=seed)

frame = results("outputs")
print(frame.groupby("method")[["acc", "bwt"]].mean().round(3))
print(compare("outputs", metric="acc,bwt", columns="metric", where="benchmark=toy").markdown())
