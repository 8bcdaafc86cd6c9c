"""`python -m speclens`, and the command `speclens`: signals are minded before anything else."""

from speclens.cli.interruption import end_at_signals


def main() -> None:
    """Run the command line."""
    end_at_signals()

    from speclens.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
