"""The card of a model: what it is, what it was trained on, and what its numbers mean.

In: a trained `Model`. Out: Markdown.
"""

from __future__ import annotations

from speclens.networks.model import Model

__all__ = ["model_card"]

OF_KIND = {
    "resnet": (
        """the probability that the spectrum of a galaxy holds an
emission line that is not the galaxy's own""",
        """Probabilities assume the set's line fluxes and that a share of {share:.3g} of the spectra
have a line; nature's share is a thousand times smaller. Where a line comes from (Lyman alpha at
redshift 2 to 3, or [O II] of a nearer galaxy), the network does not say.""",
    ),
    "redshift": (
        """the probability of a source behind a galaxy
at each redshift, of each kind, and of none""",
        """Probabilities assume the set's fluxes and kinds of sources, by their luminosity
functions, and that a share of {share:.3g} of the spectra have one. Bins of redshift that are not
behind the lens are left out of them.""",
    ),
}
"""What a network of each kind gives, and what its probabilities assume."""


def model_card(model: Model) -> str:
    """Write a model card.

    Parameters
    ----------
    model : Model
        A trained network.

    Returns
    -------
    str
        Markdown.
    """
    facts = model.metadata
    configuration, spectra, test = facts["configuration"], facts["set"], facts["test"]
    recipe = configuration["training_set"]
    low, high = configuration["preparation"]["window"]
    prior = configuration["training"]["probability_prior"]
    share = prior or spectra["line_share"]
    rate = test["test_false_positive_rate"]
    drawn = f" in {spectra['draws']} draws" * (spectra["draws"] > 1)
    rows = {
        "network": f"{model.kind}, widths {' '.join(map(str, model.widths))}",
        "input": ", ".join(model.inputs),
        "trained on": f"{spectra['train']} artificial spectra{drawn}, recipe `{recipe['recipe']}`, "
        f"seed {spectra['seed']}",
        "tested on": f"{spectra['test']} others, which share no galaxy with them",
        "seed": facts["seed"],
        "time": f"{facts['seconds'] / 60:.0f} minutes, {facts['device']}, {facts['machine']}",
        "accuracy": f"{test['test_accuracy']:.4f}",
        "loss": f"{test['test_loss']:.4f}",
        "completeness": f"{test['test_completeness']:.4f} at a false-positive rate of {rate:.2e}",
    }
    if "test_redshifts_right" in test:
        rows["redshift and kind right"] = (
            f"{test['test_redshifts_right']:.4f} of those with a source"
        )
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    what, meaning = OF_KIND[model.kind]
    return f"""# {model.name}

A network of speclens {facts["speclens"]}: {what}, between {low:g} and {high:g} Angstrom.

| | |
|---|---|
{table}

Accuracy, loss and completeness are those of artificial spectra, at the network's own probability of
0.5. {meaning.format(share=share)}

Made by `speclens simulate` and `speclens train`; `model.json` holds the whole configuration.
"""
