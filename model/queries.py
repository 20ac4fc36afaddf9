"""The queries of a bundle: embeddings of photographs that it was not fitted on, `queries.npy`.

An index measures its recall with them: they lie where pictures that it has never seen lie.
"""

from model.bundle import QUERIES, Bundle
from model.unit_vectors import Embeddings, load_unit_vectors


def load_queries(bundle: Bundle) -> Embeddings | None:
    """The queries of `bundle`, float32 `[q, d]`, L2-normalised, None where it has none.

    Raises BundleError where the file is broken or of another embedding size.
    """
    return load_unit_vectors(bundle, QUERIES) if QUERIES in bundle.spec.files else None
