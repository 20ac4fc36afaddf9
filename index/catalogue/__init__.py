"""The catalogue: what is known about each sound of an index, in one SQLite file that never changes once written."""

from index.catalogue.page import Page
from index.catalogue.protocol import Records
from index.catalogue.reader import Catalogue
from index.catalogue.record import SoundRecord
from index.catalogue.writer import write_catalogue

__all__ = ["Catalogue", "Page", "Records", "SoundRecord", "write_catalogue"]
