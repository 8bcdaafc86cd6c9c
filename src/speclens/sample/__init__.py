"""Who is searched, and what the search sees."""
