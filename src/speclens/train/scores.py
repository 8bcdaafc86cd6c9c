"""Running accuracy, loss and completeness of a classification.

In: logits and labels, batch by batch. Out: means over all spectra so far.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Scores"]


@dataclass
class Scores:
    """Sums over spectra.

    Parameters
    ----------
    n_spectra, n_lines : int
        Spectra, and those with a line.
    n_found, n_alarms : int
        Probability above 0.5: with a line, and without.
    loss : float
        Sum of the loss.
    """

    n_spectra: int = 0
    n_lines: int = 0
    n_found: int = 0
    n_alarms: int = 0
    loss: float = 0.0

    def add(self, logit: Tensor, label: Tensor, loss: Tensor) -> None:
        """Count a batch.

        Parameters
        ----------
        logit, label : Tensor of shape (N,)
            Logits of the probabilities, and the true labels.
        loss : Tensor of shape (N,)
            The loss of each.
        """
        positive, line = logit > 0, label > 0.5
        self.n_spectra += len(label)
        self.n_lines += int(line.sum())
        self.n_found += int((positive & line).sum())
        self.n_alarms += int((positive & ~line).sum())
        self.loss += float(loss.double().sum())

    def summary(self) -> dict[str, float]:
        """Return the means.

        Returns
        -------
        dict
            Loss, accuracy, completeness and false-positive rate.
        """
        n_free = self.n_spectra - self.n_lines
        wrong = self.n_lines - self.n_found + self.n_alarms
        return {
            "loss": self.loss / max(self.n_spectra, 1),
            "accuracy": 1 - wrong / max(self.n_spectra, 1),
            "completeness": self.n_found / max(self.n_lines, 1),
            "false_positive_rate": self.n_alarms / max(n_free, 1),
        }
