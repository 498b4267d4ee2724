"""What only chapters import: the package's source on the page, one quiet style for figures, interactive figures."""
