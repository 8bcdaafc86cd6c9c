"""The files of SDSS-I to eBOSS."""
