"""Processes that are forked from one which does nothing else and has imported all that an index's commands need.

Tests start hundreds, and to import takes far longer than to fork. To fork the tests' own process would take long
too, which has imported what all other tests need.
"""

import multiprocessing

context = multiprocessing.get_context("forkserver")
# One process forks for both: the first list that is set counts.
context.set_forkserver_preload(["tests.index.crashes", "tests.index.commands"])
