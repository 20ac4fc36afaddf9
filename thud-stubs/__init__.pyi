"""The public names of thud.py for type checkers, which take no types from a module of one file (PEP 561)."""

from index.recommender import Recommender as Recommender
from index.search import SoundIndex as SoundIndex
from model.bundle import Bundle as Bundle

__version__: str
