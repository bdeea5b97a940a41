"""The build of the book: a survey, the chapters executed by papermill, and the site made by Jupyter Book.

Each stage depends on hashes of everything it uses, so a second build redoes only what changed, and reports why.
A chapter that fails stops the build before the site is touched.
"""

from .book import build_book
from .contents import chapters

__all__ = ["build_book", "chapters"]
