"""Intake: what CM lists, read, understood and written into the catalogue.

`importer.Importer` is the whole of it: `client` and `auth` fetch, `paging` walks, `mapping` and `records` read,
`inference` settles each link's quality, `planning` groups links into upload targets.
"""
