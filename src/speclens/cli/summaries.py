"""What the verbs print on stdout: tables for a person, with the place of the products.

In: results of the verbs. Out: text.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from speclens.evaluate.completeness import Completeness
    from speclens.evaluate.evaluation import Evaluation
    from speclens.evaluate.recovery import Recovery
    from speclens.verbs.fetch import FetchSummary
    from speclens.verbs.search import RunSummary
    from speclens.verbs.sky import SkySummary

__all__ = [
    "print_epoch",
    "print_evaluation",
    "print_fetched",
    "print_growth",
    "print_hits",
    "print_purposes",
    "print_recovery",
    "print_summary",
    "print_training_set",
    "quoted",
]

N_SHOWN = 10
MIN_SPECTRUM = 18


def print_summary(summary: RunSummary) -> None:
    """Print what became of all spectra of a search, and its candidates.

    Parameters
    ----------
    summary : RunSummary
        The search.
    """
    from speclens.schema import REASONS
    from speclens.vet.reasons import limit_of_reason

    texts = {reason.code: reason.text for reason in REASONS}
    counts = summary.counts
    print(
        f"read {counts['read']}: scored {counts['scored']}, skipped {counts['skipped']}, "
        f"failed {counts['failed']}"
    )
    for reason, number in summary.reasons.items():
        limit = limit_of_reason(reason, summary.configuration)
        print(f"  {reason:<20}{number:>9}  {texts[reason]}{limit and f': {limit}'}")
    if summary.n_ignored:
        named = ", ".join(summary.ignored)
        more = ", ..." if summary.n_ignored > len(summary.ignored) else ""
        print(
            f"other files in the folders, not searched: {summary.n_ignored}"
            f"{named and f' ({named}{more})'}"
        )
    print_purposes(summary.purposes)
    print_hits(summary.output, counts, summary.candidates, summary.notes)


def print_purposes(purposes: Sequence[Mapping[str, Any]]) -> None:
    """Print what a list of candidates is worth for some purposes.

    Parameters
    ----------
    purposes : sequence of mapping
        As in run.json; nothing is printed of none.
    """
    from speclens.view.worth import expected_true, told

    if purposes:
        print(
            f"{'purpose':<20}{'candidates':>11}{'expected true':>22}{'purity':>11}{'complete':>11}"
        )
    for row in purposes:
        purity, complete = (told(row[name], ".2f") for name in ("purity", "completeness"))
        print(
            f"{row['purpose']:<20}{row['n_candidates']:>11}{expected_true(row):>22}{purity:>11}"
            f"{complete:>11}"
        )


def print_hits(
    run: Path, counts: Mapping[str, int], candidates: NDArray[np.void], notes: Sequence[str]
) -> None:
    """Print the candidates of a run.

    Parameters
    ----------
    run : Path
        The run's folder.
    counts : mapping of str to int
        As in run.json.
    candidates : structured array of shape (N,)
        Rows of candidates.*, best first.
    notes : sequence of str
        What a reader of the tables must know.
    """
    for note in notes:
        print(f"note: {note}")
    if "known_scored" in counts:
        print(
            f"published systems: {counts['known_listed']} in the list, {counts['known_scored']} "
            f"searched at their line, {counts['known_found']} found"
        )
    if counts.get("known_z_unknown"):
        print(
            f"  {counts['known_z_unknown']} more searched, whose redshift of the source is not "
            "known: none counts as found"
        )
    print(f"hits {counts['hits']}, candidates {counts['candidates']}: {run / 'candidates.ecsv'}")
    width = max([MIN_SPECTRUM, *(len(name) + 2 for name in candidates["SPECTRUM"][:N_SHOWN])])
    if len(candidates):
        print(
            f"{'candidate':<28}{'spectrum':<{width}}{'z_lens':>7}{'z_source':>9}{'flux':>7}{'S/N':>6}"
            f"{'source':>9}{'P':>7}{'lensed':>8}"
        )
    for row in candidates[:N_SHOWN]:
        name = row["NAME"] or row["SPECTRUM"]
        lensed = "-" if row["P_LENSED"] != row["P_LENSED"] else f"{row['P_LENSED']:.3f}"
        print(
            f"{name:<28}{row['SPECTRUM']:<{width}}{row['Z']:>7.4f}{row['Z_SOURCE']:>9.4f}"
            f"{row['FLUX']:>7.1f}{row['SNR']:>6.1f}{row['HYPOTHESIS']:>9}"
            f"{row['P_HYPOTHESIS']:>7.3f}{lensed:>8}"
        )
    if len(candidates) > N_SHOWN:
        print(f"... and {len(candidates) - N_SHOWN} more")
    print(f"report: {run / 'report' / 'index.html'}")


def print_recovery(recovered: Sequence[Recovery], bright_snr: float) -> None:
    """Print what came back of what was put into a mock survey.

    Parameters
    ----------
    recovered : sequence of Recovery
        One for each kind of line.
    bright_snr : float
        Ideal signal-to-noise ratio above which a line is bright.
    """
    print(
        f"{'kind':<10}{'put in':>8}{'scored':>8}{'hits':>6}{'candidates':>12}   "
        f"hits of ideal S/N > {bright_snr:g}"
    )
    for row in recovered:
        bright = f"{row.n_bright_hits}/{row.n_bright}" if row.n_bright else ""
        print(
            f"{row.kind:<10}{row.n_lines:>8}{row.n_scored:>8}{row.n_hits:>6}"
            f"{row.n_candidates:>12}   {bright}"
        )


def print_evaluation(result: Evaluation) -> None:
    """Print completeness by ideal signal-to-noise ratio, and the figures of merit.

    Of several searches each stands for itself, and below what is of all.

    Parameters
    ----------
    result : Evaluation
        The evaluation.
    """
    several = len(result.completeness) > 1
    for search, counts in result.completeness.items():
        if several:
            print(f"search {search}")
        _print_completeness(counts)
        if several:
            _print_numbers(result.of_search[search])
    for search, scored in result.scored.items():
        own = result.nulls[result.nulls["SEARCH"] == search]
        if not any(scored.values()):
            print(f"search {search}: the inputs hold no spectrum for it")
        for null, n_spectra in scored.items():
            hits = own[own["NULL"] == null]
            if n_spectra:
                print(
                    f"null {null} (search {search}): {n_spectra} spectra, {len(hits)} hits, "
                    f"{hits['CANDIDATE'].sum()} candidates"
                )
    own = {name for numbers in result.of_search.values() for name in numbers} if several else set()
    _print_numbers({name: value for name, value in result.numbers.items() if name not in own})


def _print_completeness(counts: Completeness) -> None:
    print("ideal S/N      lines   found   fraction")
    for low, high, n_lines, n_found in zip(
        counts.edges[:-1], counts.edges[1:], counts.n_lines, counts.n_found, strict=True
    ):
        fraction = f"{n_found / n_lines:>10.3f}" if n_lines else ""
        print(f"{low:>5.1f} - {high:<5.1f}{n_lines:>7}{n_found:>8} {fraction}")


def _print_numbers(numbers: Mapping[str, float]) -> None:
    from speclens.view.worth import told

    for name, value in numbers.items():
        print(name, told(value, ".5g"))


def print_epoch(record: dict[str, Any]) -> None:
    """Print one epoch of a training.

    Parameters
    ----------
    record : dict
        The epoch's line of metrics.jsonl.
    """
    print(
        f"epoch {record['epoch']:>3}   loss {record['train_loss']:.5f} train "
        f"{record['test_loss']:.5f} test   accuracy {record['test_accuracy']:.4f}   completeness "
        f"{record['test_completeness']:.4f}   false positives "
        f"{record['test_false_positive_rate']:.2e}   {record['spectra_per_second']:.0f} a second",
        flush=True,
    )


def print_training_set(output: Path, manifest: Mapping[str, Any]) -> None:
    """Print what a training set holds, and what to do next.

    Parameters
    ----------
    output : Path
        The set's folder.
    manifest : mapping
        Its manifest.
    """
    for split in ("train", "test"):
        shards = [shard for shard in manifest["shards"] if shard["split"] == split]
        n_draws = len({shard["draw"] for shard in shards})
        counts = {
            name: sum(shard[name] for shard in shards)
            for name in ("n_spectra", "n_lines", "n_hidden", "n_dropped")
        }
        drawn = f"{counts['n_spectra']:>9} spectra{f' in {n_draws} draws' * (n_draws > 1)}"
        told = (
            f"with a source ({counts['n_hidden']} masked sources do not count); left out:"
            if "sources" in manifest
            else f"with a line; left out: {counts['n_hidden']} whose line is masked,"
        )
        print(
            f"{split:<6}{drawn}, {counts['n_lines']} {told} "
            f"{counts['n_dropped']} that no search would take"
        )
    print(f"next: speclens train {quoted(output)} -o MODEL")


def print_fetched(summary: FetchSummary) -> None:
    """Print what came from the archives, or would come.

    Parameters
    ----------
    summary : FetchSummary
        What came of it.
    """
    print(
        f"{', '.join(summary.releases)}: {'would fetch' if summary.dry_run else 'fetched'} "
        f"{summary.n_files} file{'s' * (summary.n_files != 1)}, {_bytes(summary.n_bytes)}"
        + f", and {summary.n_unknown} of unknown length"
        * (summary.n_unknown > 0)
    )
    if summary.n_there:
        print(f"there and whole: {summary.n_there}")
    if summary.n_lost:
        print(f"not to be had: {summary.n_lost}, named above")
    if not summary.dry_run and summary.n_files + summary.n_there:
        print(f"next: speclens search {quoted(summary.output)} -o RUN")


def _bytes(number: int) -> str:
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e3:.1f} kB"


def print_growth(output: Path, summary: SkySummary) -> None:
    """Print what was measured of the growth of the errors.

    Parameters
    ----------
    output : Path
        The file.
    summary : SkySummary
        What was measured.
    """
    for name, number in summary.measured.items():
        factor = summary.growth.rows[name]
        told = f"told by {number} at most" if number else "too few to tell, kept as it was"
        print(
            f"  {name:<{MIN_SPECTRUM}}mean {factor.mean():.3f}, highest {factor.max():.2f}; {told}"
        )
    if not all(summary.measured.values()):
        print(
            "  (how many sky fibres and spectra it takes: noise.sky_min_fibres, "
            "lines.growth_min_spectra of speclens config)"
        )
    if summary.lost:
        print(f"files left out: {len(summary.lost)}")
    print(f"next: speclens search INPUT... -o RUN --sky {quoted(output)}")


def quoted(path: Path) -> str:
    """Return a path as it can be pasted into a shell.

    Parameters
    ----------
    path : Path
        Any path.

    Returns
    -------
    str
        In quotes where it has blanks.
    """
    return shlex.quote(str(path))
