"""Speed and recall of search in large libraries, beside other ways of searching."""
