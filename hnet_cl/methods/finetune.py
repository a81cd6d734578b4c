"""Fine-tuning: one network is trained on one task after another without protection of the old ones. The lower bound."""

from hnet_cl.methods.parts.classifier import Classifier


class Finetune(Classifier):
    """A plain classifier, trained on the new task only."""

    divisible = True

    @classmethod
    def unsupported_regression(cls, settings: Classifier.Settings) -> None:
        return None
