"""Hub biases of an index's vectors, and what index.json records about them."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from model.bundle import Hubness
from model.hubness import Biases, hub_biases, occurrences, skewness
from model.unit_vectors import Embeddings


class HubnessRecord(BaseModel):
    """What index.json records about the biases that are part of its vectors.

    `strength` and `neighbours` were the bundle's, `pictures` is the size of its bank. `skew_before` and
    `skew_after` are the skewness, without and with the biases, of how often each vector, one for each hit of a
    sound, is among the first 10 for the pictures of the bank; for other pictures the gain is smaller.
    """

    model_config = ConfigDict(frozen=True)

    strength: float
    neighbours: int
    pictures: int
    skew_before: float
    skew_after: float


@dataclass(frozen=True, eq=False)
class Hubs:
    """The `biases` float32 `[n]` of the vectors in the order of their rows, and their record for index.json."""

    biases: Biases
    record: HubnessRecord


def find_hubs(vectors: Embeddings, bank: Embeddings, hubness: Hubness) -> Hubs:
    """The biases of `vectors [n, d]` against the pictures of `bank [N, d]`, as `hub_biases` computes them."""
    biases = hub_biases(vectors, bank, hubness)
    record = HubnessRecord(
        strength=hubness.strength,
        neighbours=hubness.neighbours,
        pictures=len(bank),
        skew_before=round(skewness(occurrences(bank, vectors)), 4),
        skew_after=round(skewness(occurrences(bank, vectors, biases)), 4),
    )
    return Hubs(biases, record)
