"""The public names of thud.py for type checkers, which take no types from a module of one file (PEP 561)."""

from index.answers.picture_map import PictureMap as PictureMap
from index.answers.recommendation import Recommendation as Recommendation
from index.answers.recommender import Recommender as Recommender
from index.answers.search import SoundIndex as SoundIndex
from index.catalogue.filters import SoundFilter as SoundFilter
from model.bundle import Bundle as Bundle
from model.errors import ThudError as ThudError
from model.picture_format import PictureLimits as PictureLimits
from model.region import Region as Region
from model.region import Spot as Spot

__version__: str
