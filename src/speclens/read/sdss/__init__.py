"""The files of SDSS-I to eBOSS."""

NAME = "sdss"
"""Of the survey, in the column SURVEY."""
