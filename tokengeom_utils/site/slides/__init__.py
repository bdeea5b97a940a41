"""Slides of chapters, made from the pages of a built book: what becomes a slide, and the files of a deck."""
