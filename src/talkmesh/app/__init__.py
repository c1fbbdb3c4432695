"""A local web page: a sound in, the character that says it in 3D, and files of it (docs/app.md).

`server` answers requests, `jobs` keeps them in order, `studio` does the work, `view` makes what the page shows.
"""
