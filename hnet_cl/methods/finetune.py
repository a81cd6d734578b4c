"""Fine-tuning: one network learns task after task and nothing protects the old ones. The lower bound."""

from hnet_cl.methods.parts.classifier import Classifier


class Finetune(Classifier):
    """A plain classifier, in every scenario."""
