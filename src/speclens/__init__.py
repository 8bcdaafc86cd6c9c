"""speclens finds strong gravitational lenses in survey spectra.

A massive galaxy that lenses a distant Lyman-alpha emitter shows the emitter's one line in its own
spectrum. The folders of the package are the steps of the search, in the order data flow through
them: `read`, `sample`, `simulate`, `search`, `report`, `evaluate`.
"""

__version__ = "0.1.0"
