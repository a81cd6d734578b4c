"""Task-conditioned hypernetworks for any `nn.Module`. Depends only on torch; docs/howto/library.md has an example."""

from hnet_cl.hypernet.blocks import BlockRegularizer
from hnet_cl.hypernet.copies import aliased, copied
from hnet_cl.hypernet.gram import GramRegularizer
from hnet_cl.hypernet.hypernetwork import ACTIVATIONS, Hypernetwork, Theta
from hnet_cl.hypernet.intervals import Box, EndsRegularizer, IntervalHypernetwork
from hnet_cl.hypernet.lookahead import Drift, Lookahead
from hnet_cl.hypernet.regularizer import ExplicitRegularizer, OutputRegularizer
from hnet_cl.hypernet.sizing import chunk_size_for, operations_of_generation, operations_per_old_task
from hnet_cl.hypernet.starts import Init, layout_for
from hnet_cl.hypernet.target import Base, Interval, Layout, Start, TargetNetwork, trainable
from hnet_cl.hypernet.training import RegularizedTraining

__all__ = [
    "ACTIVATIONS",
    "Base",
    "BlockRegularizer",
    "Box",
    "Drift",
    "EndsRegularizer",
    "ExplicitRegularizer",
    "GramRegularizer",
    "Hypernetwork",
    "Init",
    "Interval",
    "IntervalHypernetwork",
    "Layout",
    "Lookahead",
    "OutputRegularizer",
    "RegularizedTraining",
    "Start",
    "TargetNetwork",
    "Theta",
    "aliased",
    "chunk_size_for",
    "copied",
    "layout_for",
    "operations_of_generation",
    "operations_per_old_task",
    "trainable",
]
