"""Task-conditioned hypernetworks for any `nn.Module`. Needs torch alone; see the README for an example."""

from hnet_cl.hypernet.blocks import BlockRegularizer
from hnet_cl.hypernet.copies import aliased, copied
from hnet_cl.hypernet.gram import GramRegularizer
from hnet_cl.hypernet.hypernetwork import ACTIVATIONS, Hypernetwork
from hnet_cl.hypernet.lookahead import Distance, Lookahead, Standstill
from hnet_cl.hypernet.regularizer import ExplicitRegularizer, OutputRegularizer
from hnet_cl.hypernet.sizing import chunk_size_for
from hnet_cl.hypernet.target import Interval, Layout, TargetNetwork, trainable

__all__ = [
    "ACTIVATIONS",
    "BlockRegularizer",
    "Distance",
    "ExplicitRegularizer",
    "GramRegularizer",
    "Hypernetwork",
    "Interval",
    "Layout",
    "Lookahead",
    "OutputRegularizer",
    "Standstill",
    "TargetNetwork",
    "aliased",
    "chunk_size_for",
    "copied",
    "trainable",
]
