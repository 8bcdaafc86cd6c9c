"""What people said of the hits of a run: events in RUN/grades.sqlite, and what follows of them."""
